import { idRule, isId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { readInputFile } from '../../certificates/input-file.ts';
import { type Command, exitCodes, textOption, UsageError } from '../../command.ts';
import { formatJson } from '../../output.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates import`. */
export const certificatesImport: Command = {
  words: 'certificates import',
  summary: 'store a certificate with its chain, or a bundle of CA certificates',
  about: `The file is PEM, DER or PKCS#7, - is the standard input; certificates may be in any order. A file with a private
key is refused: keys belong into the Keys service. The key is found by the certificate, or named with --key-id.`,
  positionals: ['id', 'file'],
  options: {
    'key-id': {
      type: 'string',
      value: 'ID',
      help: 'the key that belongs to it, which may be made later',
    },
    replace: { type: 'boolean', help: 'in place of a certificate of that id' },
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const keyId = textOption(context, 'key-id');
    if (keyId !== undefined && !isId(keyId)) {
      throw new UsageError(`${quoted(keyId)} is not the id of a key: ${idRule}`);
    }
    const { options, print } = context;
    const [, file = ''] = context.positionals;
    const data = await readInputFile(file);
    const { importFormat } = await import('../../certificates/material/material.ts');
    const format = importFormat(data, file);
    const certificates = await Certificates.connect(context);
    await withTerminalAgent(context, () =>
      certificates.call((methods, callOptions) =>
        methods.ImportCertificate(
          {
            certificate_id: id,
            data,
            format,
            options: {
              ...(keyId !== undefined && { key_id: keyId }),
              ...(options['replace'] === true && { if_exists: 'replace' }),
            },
          },
          callOptions,
        ),
      ),
    );
    if (options['json'] === true) print(formatJson((await certificates.find(id))?.whole ?? {}));
    else print(`${id}: imported`);
    return exitCodes.ok;
  },
};
