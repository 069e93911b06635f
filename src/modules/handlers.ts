import type { Handlers, Resolvers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/server/call.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { oneOf, ServiceError } from '../errors.ts';
import type { ModuleName, nameParsers } from '../ids.ts';
import type { modulesInterface, modulesService } from '../interfaces/modules.ts';
import { quoted } from '../quoted.ts';
import { JoinedSignal } from '../service/joined-signal.ts';
import type { Cancellations } from '../service/operations/cancellations.ts';
import { longHandler } from '../service/operations/long-handler.ts';
import type { Operation } from '../service/operations/operation.ts';
import { type ModuleSettings, parseSettingsJson } from './docker/create-options/create-options.ts';
import type { SystemInfo } from './docker/system-info.ts';
import { withKept } from './kept-settings.ts';
import { logRequestOf } from './logs/log-options.ts';
import type { LogSockets } from './logs/log-sockets.ts';
import { lastLines, logText } from './logs/log-text.ts';
import type { Change, Update } from './module-operations.ts';
import type { ModuleSource } from './module-source.ts';
import { type Resources, resourcesRecord } from './resources/resources.ts';
import type { ModuleRuntime } from './service.ts';

const longestLogBytes = 4 << 20;
const logMs = 60_000;
const longestConfigBytes = 1 << 20;

/** Dependencies of the handlers besides the service. */
export interface ModulesHandlersOptions {
  readonly isElevated: (settings: ModuleSettings) => boolean;
  /** Throws AccessDenied for a module that the configuration forbids, or whose host paths are not safe. */
  readonly refuseUnconfined: (source: ModuleSource) => Promise<void>;
  /** The calls that were authorized as creations of an elevated module. */
  readonly elevatedCalls: WeakSet<CallContext>;
  readonly cancellations: Cancellations;
  readonly logSockets: Pick<LogSockets, 'open'>;
  readonly systemInfo: (signal: AbortSignal) => Promise<SystemInfo>;
  readonly resources: (signal: AbortSignal) => Promise<Resources>;
  readonly objects: Pick<ObjectManager<typeof modulesService>, 'pathOf'>;
}

type Interface = typeof modulesInterface;

/** The details of a creation or a cancellation for authorization. */
export function modulesResolvers(
  runtime: Pick<ModuleRuntime, 'operations'>,
  {
    isElevated,
    elevatedCalls,
    cancellations,
  }: Pick<ModulesHandlersOptions, 'isElevated' | 'elevatedCalls' | 'cancellations'>,
): Resolvers<Interface, CallContext, typeof nameParsers> {
  const details = (
    { type, config_json, env }: Pick<SourceInput, 'type' | 'config_json' | 'env'>,
    call: CallContext,
  ) => {
    refuseLong(config_json, env);
    checkedEnv(env);
    const settings = parseConfig(type, config_json);
    const elevated = isElevated(settings);
    if (elevated) elevatedCalls.add(call);
    return { image: settings.image, elevated: String(elevated) };
  };
  return {
    CreateModule: details,
    UpdateModule: details,
    PrepareUpdate: details,
    Cancel({ id }, call) {
      const name = runtimeName(id);
      const operation = runtime.operations.current(name);
      const verb = cancellations.resolve(call, operation);
      const source = operation && sourceOf(operation);
      if (source === undefined) return { operation: verb, type: '', image: '', elevated: '' };
      const elevated = String(source.elevated);
      return { operation: verb, type: 'docker', image: source.settings.image, elevated };
    },
  };
}

/** The methods of org.iotedge.Modules1. */
export function modulesHandlers(
  runtime: ModuleRuntime,
  options: ModulesHandlersOptions,
): Omit<Handlers<Interface, CallContext, typeof nameParsers>, 'Describe'> {
  const { cancellations, elevatedCalls, logSockets, objects, refuseUnconfined } = options;
  const { resources, systemInfo } = options;
  const { operations, kinds } = runtime;
  const done = () => ({});
  const source = async (
    { name, type, config_json, env }: Omit<SourceInput, 'options'>,
    call: CallContext,
  ): Promise<ModuleSource> => {
    const settings = parseConfig(type, config_json);
    const elevated = elevatedCalls.has(call);
    const requested = { name: runtimeName(name), settings, env: checkedEnv(env), elevated };
    await refuseUnconfined(requested);
    return requested;
  };
  const updated = async (input: UpdateInput, call: CallContext): Promise<ModuleSource> => {
    const { keep_env = false, keep_auth = false } = input.options;
    const requested = await source(input, call);
    const present = runtime.find(requested.name)?.source;
    const merged = withKept(requested, present, { env: keep_env, auth: keep_auth });
    refuseLong(input.config_json, merged.env);
    return merged;
  };
  return {
    CreateModule: longHandler(operations, kinds.create, {
      async request(input: SourceInput, call) {
        const args = await source(input, call);
        return { id: args.name, args, wait: input.options.wait ?? true };
      },
      reply: (_result, id) => ({ module: objects.pathOf(id) }),
    }),
    UpdateModule: longHandler(operations, kinds.update, {
      async request(input: UpdateInput, call) {
        const args = { source: await updated(input, call) };
        return { id: args.source.name, args, wait: input.options.wait ?? true };
      },
      reply: (_result, id) => ({ module: objects.pathOf(id) }),
    }),
    PrepareUpdate: longHandler(operations, kinds.prepare, {
      async request(input: UpdateInput, call) {
        const args = await updated(input, call);
        return { id: args.name, args, wait: input.options.wait ?? true };
      },
      reply: done,
    }),
    Start: longHandler(operations, kinds.start, { request: changeOf, reply: done }),
    Stop: longHandler(operations, kinds.stop, { request: changeOf, reply: done }),
    Restart: longHandler(operations, kinds.restart, { request: changeOf, reply: done }),
    DeleteModule: longHandler(operations, kinds.remove, { request: changeOf, reply: done }),
    GetConfig: ({ name }) => ({ config_json: runtime.configOf(runtimeName(name)) }),
    async GetLogs({ name, options }, { signal }) {
      using limited = JoinedSignal.within(logMs, signal);
      const request = logRequestOf(options);
      const { entries } = await runtime.log(runtimeName(name), request, limited.signal);
      const { timestamps = false } = options;
      return { log: await lastLines(logText(entries, { timestamps }), longestLogBytes) };
    },
    async OpenLog({ name, options }, { caller, signal }) {
      const request = logRequestOf(options);
      const id = runtimeName(name);
      const read = (life: AbortSignal) => runtime.log(id, request, life);
      const text = { timestamps: options.timestamps ?? false };
      return { path: await logSockets.open({ uid: caller.uid, read, text }, signal) };
    },
    GetSystemInfo: async (_args, { signal }) => ({ system: await systemInfo(signal) }),
    GetResources: async (_args, { signal }) => ({
      resources: resourcesRecord(await resources(signal)),
    }),
    Cancel({ id }, call) {
      cancellations.cancel(operations, runtimeName(id), call);
      return {};
    },
  };
}

type Inputs = Handlers<Interface, CallContext, typeof nameParsers>;
type SourceInput = Parameters<Inputs['CreateModule']>[0];
type UpdateInput = Parameters<Inputs['UpdateModule']>[0];

/** The configuration that an operation was authorized with. */
function sourceOf({ verb, args }: Operation<unknown, unknown>): ModuleSource | undefined {
  // each verb has arguments of its own type
  if (verb === 'CreateModule' || verb === 'PrepareUpdate') return args as ModuleSource;
  return verb === 'UpdateModule' ? (args as Update).source : undefined;
}

interface ChangeInput {
  readonly name: ModuleName;
  readonly options: {
    readonly wait?: boolean | undefined;
    readonly timeout_s?: number | undefined;
    readonly identity?: boolean | undefined;
  };
}

/** The request of a method that changes a module. */
function changeOf({ name, options: { wait = true, timeout_s, identity } }: ChangeInput) {
  const args: Change = {
    ...(timeout_s !== undefined && { stopTimeoutS: timeout_s }),
    ...(identity === true && { identity }),
  };
  return { id: runtimeName(name), args, wait };
}

/** A module's name and no equivalent of it: exactly this text was authorized. */
function runtimeName(name: ModuleName): ModuleName {
  if (name.startsWith('$')) {
    throw new ServiceError('InvalidArgs', `${quoted(name)} is a cloud id, not a name`);
  }
  return name;
}

function parseConfig(type: string, configJson: string): ModuleSettings {
  if (type === 'systemd') {
    throw new ServiceError('NotSupported', 'modules of type "systemd" are not run here');
  }
  oneOf(type, 'a type of module', ['docker']);
  return parseSettingsJson(configJson);
}

/** LimitsExceeded for a configuration and an environment that are too long together: the interface table limits only each. */
function refuseLong(configJson: string, env: Readonly<Record<string, string>>): void {
  const texts = [configJson, ...Object.entries(env).flat()];
  const size = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (size <= longestConfigBytes) return;
  const text = `config_json and env have ${size} bytes together, the limit is ${longestConfigBytes}`;
  throw new ServiceError('LimitsExceeded', text);
}

function checkedEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const key of Object.keys(env)) {
    if (key === '' || key.includes('=')) {
      throw new ServiceError('InvalidArgs', `${quoted(key)} is not a variable name`);
    }
  }
  return env;
}
