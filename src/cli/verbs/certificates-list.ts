import { certificatesService } from '../../interfaces/certificates.ts';
import { type Command, exitCodes } from '../command.ts';
import { describeService, textOf, timeOf } from '../description.ts';
import { formatJson, formatTable, formatTime } from '../output.ts';

/** `iotedgectl certificates list`. */
export const certificatesList: Command = {
  words: 'certificates list',
  summary: 'the certificates that the Certificates service holds',
  async run({ bus, options, print }) {
    const { objects } = await describeService(await bus(), certificatesService);
    if (options['json'] === true) {
      print(formatJson(objects));
      return exitCodes.ok;
    }
    const rows = Object.entries(objects).map(([id, certificate]) => [
      id,
      textOf(certificate['State']),
      formatTime(timeOf(certificate['NotAfter'])),
      textOf(certificate['KeyId']) || '-',
      textOf(certificate['Subject']),
    ]);
    print(formatTable(['CERTIFICATE', 'STATE', 'EXPIRES', 'KEY', 'SUBJECT'], rows));
    return exitCodes.ok;
  },
};
