import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { type Command, type CommandContext, exitCodes, UsageError } from '../../command.ts';
import { carryOut, noWaitOption, type Outcome } from '../../modules/operation.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { fileSpec } from '../../modules/spec/document.ts';
import { emptySpec, withChanges } from '../../modules/spec/spec.ts';
import { changesOf, specOptions } from '../../modules/spec/spec-options.ts';
import { formatJson } from '../../output.ts';
import { passwordOption } from '../../terminal-agent.ts';

/** `iotedgectl modules create`. */
export const modulesCreate: Command = {
  words: 'modules create',
  summary: 'create a module: its identity, its image, its container',
  about: `The module is described by a file, by options, or by both, where the options win. Words behind its name are
the command that it runs in place of that of its image; put -- before them. The file is JSON or YAML:

  - {image, createOptions, restart_policy, start_after, aliases, auth, env}, the configuration that the Module Runtime
    takes;
  - a ModuleSpec {name, type, config}, as the management API takes it;
  - a deployment manifest, of which the module of that name is taken with the credentials of its registry, or such a
    module alone. Its status, version and startupOrder are not: use --start and --start-after.

It is not started without --start. When it cannot be created, nothing stays but an identity at the hub that was
registered for it. An agent that runs a deployment removes modules that the deployment does not have.`,
  positionals: ['name'],
  more: 'command',
  options: {
    ...specOptions,
    start: { type: 'boolean', help: 'start it once it is created' },
    ...noWaitOption,
    ...passwordOption,
  },
  async run(context) {
    const name = moduleName(context);
    const changes = await changesOf(context, context.positionals.slice(1));
    const file = await fileSpec(context, name);
    if (file === undefined && changes.image === undefined) {
      throw new UsageError('which module? --image IMAGE or --file FILE says so');
    }
    const isStarted = context.options['start'] === true;
    if (isStarted && context.options['no-wait'] === true) {
      throw new UsageError(
        '--start starts it once it is created, which --no-wait does not wait for',
      );
    }
    const { type, config, env } = withChanges(file ?? emptySpec, changes);
    const runtime = await Runtime.connect(context);
    const isNew = (await runtime.find(name)) === undefined;
    const created = await carryOut(runtime, context, {
      verb: 'CreateModule',
      name,
      begin: (methods, options) =>
        methods.CreateModule(
          { name, type, config_json: JSON.stringify(config), env, options: { wait: false } },
          options,
        ),
    }).catch(async (error: unknown) => {
      throw isNew ? await removed(runtime, name, error) : error;
    });
    if (created.code !== exitCodes.ok || !isStarted) return printed(context, created);
    const started = await carryOut(runtime, context, {
      verb: 'Start',
      name,
      begin: (methods, options) => methods.Start({ name, options: { wait: false } }, options),
    });
    return printed(context, started);
  },
};

function printed({ options, print }: CommandContext, { code, module }: Outcome): number {
  if (options['json'] === true && code === exitCodes.ok) print(formatJson(module?.whole ?? {}));
  return code;
}
/** Removes a module whose creation failed; returns the failure, which says when the module stays. */
async function removed(runtime: Runtime, name: string, failure: unknown): Promise<unknown> {
  const left = await runtime.find(name).catch(() => undefined);
  if (left?.state !== 'failed' || left.operation !== '') return failure;
  try {
    await runtime.call((methods, options) => methods.DeleteModule({ name, options: {} }, options));
    return failure;
  } catch (error) {
    const stays = `it stays in the list as failed (${describeError(error)})`;
    const advice = `'iotedgectl modules delete ${name}' removes it`;
    const code = isServiceError(failure) ? failure.code : 'Failed';
    return new ServiceError(code, `${describeError(failure)}; ${stays}: ${advice}`);
  }
}
