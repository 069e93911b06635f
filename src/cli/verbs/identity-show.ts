import { identityService } from '../../interfaces/identity.ts';
import { type Command, exitCodes } from '../command.ts';
import { describeService, textOf, timeOf } from '../description.ts';
import { formatJson, formatRecord, formatTable, formatTime } from '../output.ts';

/** `iotedgectl identity show`. */
export const identityShow: Command = {
  words: 'identity show',
  summary: 'how the device is provisioned, and the identities of its modules',
  async run({ bus, options, print }) {
    const { properties, objects, lastError, whole } = await describeService(
      await bus(),
      identityService,
    );
    if (options['json'] === true) {
      print(formatJson(whole));
      return exitCodes.ok;
    }
    const hub = textOf(properties['HubHostname']);
    const gateway = textOf(properties['GatewayHostname']);
    print(
      formatRecord({
        state: textOf(properties['State']),
        source: textOf(properties['Source']),
        attestation: textOf(properties['Attestation']),
        hub,
        ...(gateway !== '' && gateway !== hub && { gateway }),
        device: textOf(properties['DeviceId']),
        provisioned: formatTime(timeOf(properties['LastProvisioned'])),
        'next attempt': formatTime(timeOf(properties['NextAttempt'])),
        'last error': lastError,
      }),
    );
    const rows = Object.entries(objects).map(([id, module]) => [
      id,
      textOf(module['Auth']),
      textOf(module['GenerationId']),
    ]);
    if (rows.length > 0) print(`\n${formatTable(['MODULE', 'AUTH', 'GENERATION'], rows)}`);
    return exitCodes.ok;
  },
};
