import { type Command } from '../../command.ts';
import { each } from '../../modules/each.ts';
import { carryOut, noWaitOption } from '../../modules/operation.ts';
import { moduleNames, Runtime } from '../../modules/runtime.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl modules start`. */
export const modulesStart: Command = {
  words: 'modules start',
  summary: 'start modules, and keep them running',
  about: `It waits until they run. A module that ends at once, or whose start fails, is started again by the runtime as its restart policy says.`,
  positionals: ['name'],
  more: 'name',
  options: { ...noWaitOption, ...passwordOption },
  async run(context) {
    const names = moduleNames(context);
    const runtime = await Runtime.connect(context);
    return each(names, context, (name) =>
      carryOut(runtime, context, {
        verb: 'Start',
        name,
        begin: (methods, options) => methods.Start({ name, options: { wait: false } }, options),
      }),
    );
  },
};
