import { type Command, exitCodes } from '../../command.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl modules cancel`. */
export const modulesCancel: Command = {
  words: 'modules cancel',
  summary: 'cancel the operation that is in progress for a module, and undo it',
  positionals: ['name'],
  options: passwordOption,
  async run(context) {
    const id = moduleName(context);
    const runtime = await Runtime.connect(context);
    await withTerminalAgent(context, () =>
      runtime.call((methods, options) => methods.Cancel({ id, options: {} }, options)),
    );
    if (context.options['json'] !== true) context.print(`${id}: cancelled`);
    return exitCodes.ok;
  },
};
