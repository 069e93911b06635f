import { type Command } from '../../command.ts';
import { each } from '../../modules/each.ts';
import { carryOut, noWaitOption } from '../../modules/operation.ts';
import { moduleNames, Runtime } from '../../modules/runtime.ts';
import { stopTimeout, stopTimeoutOption } from '../../modules/stop-timeout.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl modules stop`. */
export const modulesStop: Command = {
  words: 'modules stop',
  summary: 'stop modules, and keep them stopped',
  about: `A module that has not ended in time is killed. It stays stopped, also after a boot, until it is started.`,
  positionals: ['name'],
  more: 'name',
  options: { ...stopTimeoutOption, ...noWaitOption, ...passwordOption },
  async run(context) {
    const names = moduleNames(context);
    const timeout = stopTimeout(context);
    const runtime = await Runtime.connect(context);
    return each(names, context, (name) =>
      carryOut(runtime, context, {
        verb: 'Stop',
        name,
        begin: (methods, options) =>
          methods.Stop({ name, options: { wait: false, ...timeout } }, options),
      }),
    );
  },
};
