import { idRule, isId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { readInputFile } from '../../certificates/input-file.ts';
import { importPkcs12, keyIdFor, keyImportOptions } from '../../certificates/pkcs12/import.ts';
import {
  type Command,
  type CommandContext,
  exitCodes,
  textOption,
  UsageError,
} from '../../command.ts';
import { formatJson } from '../../output.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates import`. */
export const certificatesImport: Command = {
  words: 'certificates import',
  summary: 'store a certificate with its chain, or a bundle of CA certificates',
  about: `The file is PEM, DER, PKCS#7 or PKCS#12, - is the standard input; certificates may be in any order. The key is found
by the certificate, or named with --key-id. PKCS#12 is taken apart, for you: the private key goes to the Keys service,
under --key-id or iotedge/certificate/ID, where it stays unless it is --exportable; its certificate and the chain go to
the Certificates service. A private key in another format is refused.`,
  positionals: ['id', 'file'],
  options: {
    'key-id': {
      type: 'string',
      value: 'ID',
      help: 'the key that belongs to it, which may be made later; PKCS#12: the id of its key',
    },
    replace: { type: 'boolean', help: 'in place of a certificate of that id' },
    format: { type: 'string', value: 'FORMAT', help: 'pkcs12; without it the content decides' },
    ...keyImportOptions,
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
    const what = file === '-' ? 'standard input' : file;
    const format = await formatOf(context, data, what);
    if (format === 'pkcs12') {
      await importPkcs12(context, { id, keyId: keyId ?? keyIdFor(id), data, what });
    } else {
      await importCertificates(context, { id, keyId, data, format });
    }
    if (options['json'] === true) {
      const certificates = await Certificates.connect(context);
      print(formatJson((await certificates.find(id))?.whole ?? {}));
    } else print(`${id}: imported`);
    return exitCodes.ok;
  },
};

/** The format of a file; UsageError for options that are about another one. */
async function formatOf(context: CommandContext, data: Buffer, what: string): Promise<string> {
  const asked = textOption(context, 'format');
  if (asked === 'pkcs12') return asked;
  if (asked !== undefined) {
    throw new UsageError(`${quoted(asked)} is not a format that is asked for: there is pkcs12`);
  }
  const { importFormat } = await import('../../certificates/material/material.ts');
  const format = importFormat(data, what);
  const unused = Object.keys(keyImportOptions).find((name) => context.options[name] !== undefined);
  if (format !== 'pkcs12' && unused !== undefined) {
    throw new UsageError(`--${unused} is about PKCS#12, and ${what} is ${format.toUpperCase()}`);
  }
  return format;
}

async function importCertificates(
  context: CommandContext,
  {
    id,
    keyId,
    data,
    format,
  }: {
    readonly id: string;
    readonly keyId: string | undefined;
    readonly data: Buffer;
    readonly format: string;
  },
): Promise<void> {
  const request = {
    certificate_id: id,
    data,
    format,
    options: {
      ...(keyId !== undefined && { key_id: keyId }),
      ...(context.options['replace'] === true && { if_exists: 'replace' }),
    },
  };
  const certificates = await Certificates.connect(context);
  await withTerminalAgent(context, () =>
    certificates.call((methods, callOptions) => methods.ImportCertificate(request, callOptions)),
  );
}
