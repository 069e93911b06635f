import { keysService } from '../../interfaces/keys.ts';
import { type Command, exitCodes } from '../command.ts';
import { describeService, textOf } from '../description.ts';
import { formatJson, formatTable, printable } from '../output.ts';

/** `iotedgectl keys list`. */
export const keysList: Command = {
  words: 'keys list',
  summary: 'the keys that the Keys service holds',
  async run({ bus, options, print }) {
    const { objects, health, lastError } = await describeService(await bus(), keysService);
    // the keys of an unreadable token are not listed
    const code = health === 'degraded' ? exitCodes.degraded : exitCodes.ok;
    if (options['json'] === true) {
      print(formatJson(objects));
      return code;
    }
    const rows = Object.entries(objects).map(([id, key]) => [
      id,
      textOf(key['Algorithm']),
      textOf(key['Usages']),
      textOf(key['Store']),
      textOf(key['Origin']),
      textOf(key['State']),
    ]);
    print(formatTable(['KEY', 'ALGORITHM', 'USAGES', 'STORE', 'ORIGIN', 'STATE'], rows));
    if (code !== exitCodes.ok) print(printable(`\nperhaps not all keys are shown: ${lastError}`));
    return code;
  },
};
