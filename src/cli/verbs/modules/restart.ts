import { type Command } from '../../command.ts';
import { each } from '../../modules/each.ts';
import { carryOut, noWaitOption } from '../../modules/operation.ts';
import { moduleNames, Runtime } from '../../modules/runtime.ts';
import { stopTimeout, stopTimeoutOption } from '../../modules/stop-timeout.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl modules restart`. */
export const modulesRestart: Command = {
  words: 'modules restart',
  summary: 'stop modules and start them again',
  about: `One that does not run is started. A module that has not ended in time is killed.`,
  positionals: ['name'],
  more: 'name',
  options: { ...stopTimeoutOption, ...noWaitOption, ...passwordOption },
  async run(context) {
    const names = moduleNames(context);
    const timeout = stopTimeout(context);
    const runtime = await Runtime.connect(context);
    return each(names, context, (name) =>
      carryOut(runtime, context, {
        verb: 'Restart',
        name,
        begin: (methods, options) =>
          methods.Restart({ name, options: { wait: false, ...timeout } }, options),
      }),
    );
  },
};
