import { certificateFormats } from '../../../interfaces/enumerations.ts';
import { quoted } from '../../../quoted.ts';
import { Certificates, certificateId } from '../../certificates/certificates.ts';
import { outputOption, writeOutput } from '../../certificates/output-file.ts';
import { type Command, exitCodes, textOption, UsageError } from '../../command.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl certificates export`. */
export const certificatesExport: Command = {
  words: 'certificates export',
  summary: 'write a certificate and its chain, without its key',
  about: `To the standard output, or with --output into a file, which must not exist. The formats are pem and pkcs7, with the
chain, and der, without.`,
  positionals: ['id'],
  options: {
    format: { type: 'string', value: 'FORMAT', help: 'pem (the default), der or pkcs7' },
    ...outputOption,
    ...passwordOption,
  },
  async run(context) {
    const id = certificateId(context);
    const format = textOption(context, 'format') ?? 'pem';
    if (!certificateFormats.some((one) => one === format)) {
      throw new UsageError(
        `${quoted(format)} is not a format: there is ${certificateFormats.join(', ')}`,
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
