import { certificateFormats } from '../../../interfaces/enumerations.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { outputOption, writeOutput } from '../../certificates/output-file.ts';
import { exportPkcs12 } from '../../certificates/pkcs12/export.ts';
import {
  type Command,
  type CommandContext,
  exitCodes,
  textOption,
  UsageError,
} from '../../command.ts';
import { passwordFileOption } from '../../password/password.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates export`. */
export const certificatesExport: Command = {
  words: 'certificates export',
  summary: 'write a certificate and its chain, without its key unless as PKCS#12',
  about: `To the standard output, or with --output into a file, which must not exist. The formats are pem and pkcs7, with the
chain, and der, without. PKCS#12 has the private key, too, under a new password: the Keys service exports one that was
created or imported as exportable, to who may export it.`,
  positionals: ['id'],
  options: {
    format: { type: 'string', value: 'FORMAT', help: 'pem (the default), der, pkcs7 or pkcs12' },
    pkcs12: { type: 'boolean', help: 'as --format pkcs12; it needs --output' },
    ...passwordFileOption,
    ...outputOption,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const format = formatOf(context);
    if (format === 'pkcs12') {
      await exportPkcs12(context, await Certificates.connect(context), id);
      return exitCodes.ok;
    }
    if (context.options['password-file'] !== undefined) {
      throw new UsageError('--password-file is about PKCS#12');
    }
    if (!certificateFormats.some((one) => one === format)) {
      throw new UsageError(
        `${quoted(format)} is not a format: there is ${certificateFormats.join(', ')}, pkcs12`,
      );
    }
    const certificates = await Certificates.connect(context);
    const { data } = await withTerminalAgent(context, () =>
      certificates.call((methods, options) =>
        methods.ExportCertificate({ certificate_id: id, format, options: {} }, options),
      ),
    );
    await writeOutput(context, data);
    return exitCodes.ok;
  },
};

function formatOf(context: Pick<CommandContext, 'options'>): string {
  const format = textOption(context, 'format');
  if (context.options['pkcs12'] !== true) return format ?? 'pem';
  if ((format ?? 'pkcs12') !== 'pkcs12') throw new UsageError('one format is enough');
  return 'pkcs12';
}
