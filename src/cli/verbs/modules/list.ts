import { modulesService } from '../../../interfaces/modules.ts';
import { type Command, exitCodes } from '../../command.ts';
import { describeService } from '../../description.ts';
import { moduleView } from '../../modules/module-view.ts';
import { statusText } from '../../modules/status-text.ts';
import { formatJson, formatTable } from '../../output.ts';

/** `iotedgectl modules list`. */
export const modulesList: Command = {
  words: 'modules list',
  summary: 'the modules that the Module Runtime runs, and what is wrong with them',
  async run({ bus, options, print }) {
    const { objects } = await describeService(await bus(), modulesService);
    if (options['json'] === true) {
      print(formatJson(objects));
      return exitCodes.ok;
    }
    const now = new Date();
    const modules = Object.entries(objects).map(([name, object]) => ({
      ...moduleView(object),
      name,
    }));
    const hasProblem = modules.some(({ lastError }) => lastError !== '');
    const rows = modules.map((module) => [
      module.name,
      statusText(module, now),
      module.image,
      String(module.restartCount),
      ...(hasProblem ? [module.lastError] : []),
    ]);
    const headings = ['NAME', 'STATUS', 'IMAGE', 'RESTARTS', ...(hasProblem ? ['PROBLEM'] : [])];
    print(formatTable(headings, rows));
    return exitCodes.ok;
  },
};
