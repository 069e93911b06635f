import { modulesService } from '../../interfaces/modules.ts';
import { type Command, exitCodes } from '../command.ts';
import { describeService, textOf, timeOf } from '../description.ts';
import { formatJson, formatTable, formatTime } from '../output.ts';

/** `iotedgectl modules list`. */
export const modulesList: Command = {
  words: 'modules list',
  summary: 'the modules that the Module Runtime runs',
  async run({ bus, options, print }) {
    const { objects } = await describeService(await bus(), modulesService);
    if (options['json'] === true) {
      print(formatJson(objects));
      return exitCodes.ok;
    }
    const rows = Object.entries(objects).map(([name, module]) => [
      name,
      textOf(module['State']),
      formatTime(timeOf(module['StartedAt'])),
      textOf(module['RestartCount']),
      textOf(module['Image']),
      textOf(module['LastError']),
    ]);
    print(formatTable(['MODULE', 'STATE', 'STARTED', 'RESTARTS', 'IMAGE', 'LAST ERROR'], rows));
    return exitCodes.ok;
  },
};
