import { type Command, UsageError } from '../../command.ts';
import { confirm, yesOption } from '../../confirm.ts';
import { each } from '../../modules/each.ts';
import { carryOut, noWaitOption } from '../../modules/operation.ts';
import { moduleNames, Runtime } from '../../modules/runtime.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl modules delete`. */
export const modulesDelete: Command = {
  words: 'modules delete',
  summary: 'stop modules and remove them with their containers',
  about: `What a module wrote into its container is lost; its volumes with names and its image stay. Its identity at
the hub stays, too, and a module of the same name that is created later gets it again; --identity deletes it. The
agent is not deleted here: modules.yaml says whether there is one. An agent that runs creates again what its
deployment has.`,
  positionals: ['name'],
  more: 'name',
  options: {
    identity: { type: 'boolean', help: 'delete the identity at the hub, too' },
    ...yesOption,
    ...noWaitOption,
    ...passwordOption,
  },
  async run(context) {
    const names = moduleNames(context);
    const identity = context.options['identity'] === true;
    if (new Set(names).size < names.length) throw new UsageError('a module is named twice');
    const runtime = await Runtime.connect(context);
    for (const name of names) await runtime.require(name); // before anything is asked or removed
    const what = identity ? 'containers and their identities at the hub' : 'containers';
    await confirm(context, `This removes ${names.join(', ')} with their ${what}.`);
    return each(names, context, (name) =>
      carryOut(runtime, context, {
        verb: 'DeleteModule',
        name,
        begin: (methods, options) =>
          methods.DeleteModule({ name, options: { wait: false, identity } }, options),
      }),
    );
  },
};
