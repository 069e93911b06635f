import type { Client } from '../../../dbus/client/client.ts';
import { describeError, ServiceError } from '../../../errors.ts';
import { type modulesInterface, modulesService } from '../../../interfaces/modules.ts';
import { type Command, exitCodes, UsageError } from '../../command.ts';
import { describeService } from '../../description.ts';
import { exitCodeOf } from '../../exit-code.ts';
import { engineProblem } from '../../modules/engine-problem.ts';
import { carryOut, noWaitOption } from '../../modules/operation.ts';
import { moduleName, Runtime } from '../../modules/runtime.ts';
import { fileSpec } from '../../modules/spec/document.ts';
import { isRecord, type JsonRecord, recordIn } from '../../modules/spec/json.ts';
import { type ModuleSpec, withChanges } from '../../modules/spec/spec.ts';
import { changesOf, specOptions } from '../../modules/spec/spec-options.ts';
import { formatJson } from '../../output.ts';
import { passwordOption, withTerminalAgent } from '../../terminal-agent.ts';

/** `iotedgectl modules update`. */
export const modulesUpdate: Command = {
  words: 'modules update',
  summary: 'change a module; the old container comes back when the new one is no good',
  about: `Options change what they name and nothing else: --port, --volume and --start-after each replace the whole list,
--env and --env-file add or replace variables. With --file the module becomes what the file says, its environment
included; its forms are those of 'modules create'. The password for the registry stays where neither has one, as long
as the image is in the same registry.

The new image is pulled while the old container runs. Then the old one is stopped and set aside, and the new one is
started if the old one ran. It is good when its health check says so, or after 10 seconds of running where it has none.
Otherwise it is removed, the old one runs again, and this command fails with the reason.`,
  positionals: ['name'],
  more: 'command',
  options: {
    ...specOptions,
    prepare: { type: 'boolean', help: 'only pull the image, for an update later; change nothing' },
    ...noWaitOption,
    ...passwordOption,
  },
  async run(context) {
    const name = moduleName(context);
    const command = context.positionals.slice(1);
    if (command.length === 0 && !isChange(context.options)) {
      throw new UsageError('what is to be changed? --image IMAGE, --file FILE and others say so');
    }
    const changes = await changesOf(context, command);
    const file = await fileSpec(context, name);
    const runtime = await Runtime.connect(context);
    const { type } = await runtime.require(name);
    const before = file ?? (await withTerminalAgent(context, () => present(runtime, name, type)));
    const { config, env } = withChanges(before, changes);
    const config_json = JSON.stringify(config);
    const keep = { keep_auth: true, keep_env: file === undefined };
    const request = { name, type: file?.type ?? type, config_json, env };
    const isJson = context.options['json'] === true;
    if (context.options['prepare'] === true) {
      await withTerminalAgent(context, () => prepare(runtime, { ...request, keep }));
      if (!isJson) context.print(`${name}: its next image is pulled`);
      return exitCodes.ok;
    }
    const { code, module } = await carryOut(runtime, context, {
      verb: 'UpdateModule',
      name,
      begin: (methods, options) =>
        methods.UpdateModule({ ...request, options: { wait: false, ...keep } }, options),
    });
    if (isJson && code === exitCodes.ok) context.print(formatJson(module?.whole ?? {}));
    return code;
  },
};

type Request = Omit<Parameters<Client<typeof modulesInterface>['UpdateModule']>[0], 'options'>;

/** Waits for the reply: as no module changes, no property has the outcome. */
async function prepare(
  runtime: Runtime,
  {
    keep,
    ...request
  }: Request & { readonly keep: Readonly<Record<'keep_auth' | 'keep_env', boolean>> },
): Promise<void> {
  try {
    await runtime.call((methods, options) =>
      methods.PrepareUpdate({ ...request, options: keep }, { ...options, timeoutMs: Infinity }),
    );
  } catch (error) {
    throw await ofUpdate(runtime, error);
  }
}

/** A failure with the code that an update has for it: unavailable is the service or the engine, never a registry. */
async function ofUpdate({ bus }: Runtime, error: unknown): Promise<unknown> {
  if (exitCodeOf(error) !== exitCodes.unavailable) return error;
  const service = await describeService(bus, modulesService).catch(() => undefined); // the first failure is reported
  if (service === undefined || engineProblem({ ...service, objects: {} }) !== undefined)
    return error;
  return new ServiceError('Failed', describeError(error), { cause: error });
}

/** Whether an option says something about the module. */
function isChange(options: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(specOptions).some((name) => options[name] !== undefined);
}

/** A module as it is configured; the runtime keeps its environment and its password, which it never shows. */
async function present(runtime: Runtime, name: string, type: string): Promise<ModuleSpec> {
  const { config_json } = await runtime.call((methods, options) =>
    methods.GetConfig({ name, options: {} }, options),
  );
  const config: unknown = JSON.parse(config_json);
  return { type, config: withoutAuth(isRecord(config) ? config : {}), env: {} };
}

function withoutAuth({ auth: _auth, ...config }: JsonRecord): JsonRecord {
  return { ...config, createOptions: recordIn(config, 'createOptions') };
}
