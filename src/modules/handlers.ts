import type { Handlers, Resolvers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/serve.ts';
import { oneOf, ServiceError } from '../errors.ts';
import { type ModuleName, parseModuleName } from '../ids.ts';
import type { modulesInterface } from '../interfaces/modules.ts';
import { quoted } from '../quoted.ts';
import { type ModuleSettings, parseSettingsJson } from './create-options.ts';
import type { ModuleSource } from './module-source.ts';
import type { ModuleRuntime } from './runtime.ts';
import type { SystemInfo } from './system-info.ts';

const longestLogBytes = 4 << 20;
const longestConfigBytes = 1 << 20;

/** What the handlers need. */
export interface HandlerParts {
  readonly runtime: ModuleRuntime;
  readonly isElevated: (settings: ModuleSettings) => boolean;
  /** Throws AccessDenied for a module that the configuration does not let be made, or not with these host paths. */
  readonly refuseUnconfined: (source: ModuleSource) => Promise<void>;
  /** The calls about which authorization was told that what they make is elevated. */
  readonly elevatedCalls: WeakSet<CallContext>;
  readonly systemInfo: (signal: AbortSignal) => Promise<SystemInfo>;
  readonly objectPath: (name: ModuleName) => string;
}

type Interface = typeof modulesInterface;

/** What authorization is told about a module that is to be made. */
export function moduleResolvers({
  isElevated,
  elevatedCalls,
}: Pick<HandlerParts, 'isElevated' | 'elevatedCalls'>): Resolvers<Interface, CallContext> {
  return {
    CreateModule({ type, config_json, env }, call) {
      refuseLong(config_json, env);
      checkedEnv(env);
      const settings = parseConfig(type, config_json);
      const elevated = isElevated(settings);
      if (elevated) elevatedCalls.add(call);
      return { image: settings.image, elevated: String(elevated) };
    },
  };
}

/** The methods of org.iotedge.Modules1. */
export function moduleHandlers(
  parts: HandlerParts,
): Omit<Handlers<Interface, CallContext>, 'Describe'> {
  const { runtime } = parts;
  return {
    async CreateModule({ name: text, type, config_json, env, options }, call) {
      const name = parseName(text);
      const settings = parseConfig(type, config_json);
      const elevated = parts.elevatedCalls.has(call);
      const source = { name, settings, env: checkedEnv(env), elevated };
      await parts.refuseUnconfined(source);
      const { requestId } = call;
      await untilGone(runtime.create(source, { wait: options.wait ?? true, requestId }), call);
      return { module: parts.objectPath(name) };
    },
    async Start({ name }, call) {
      const { requestId } = call;
      const request = { verb: 'Start', goal: 'start', revert: true, requestId } as const;
      await untilGone(runtime.change(parseName(name), request, { wait: true }), call);
      return {};
    },
    async Stop({ name, options: { wait = true, timeout_s } }, call) {
      const request = {
        verb: 'Stop',
        goal: 'stopped',
        until: 'stopped',
        revert: wait,
        stopTimeoutS: timeout_s,
        requestId: call.requestId,
      } as const;
      await untilGone(runtime.change(parseName(name), request, { wait }), call);
      return {};
    },
    async Restart({ name, options: { wait = true, timeout_s } }, call) {
      const { requestId } = call;
      const stopTimeoutS = timeout_s;
      const request = {
        verb: 'Restart',
        goal: 'restart',
        revert: wait,
        stopTimeoutS,
        requestId,
      } as const;
      await untilGone(runtime.change(parseName(name), request, { wait }), call);
      return {};
    },
    async DeleteModule({ name }, call) {
      const { requestId } = call;
      const request = { verb: 'DeleteModule', goal: 'absent', revert: true, requestId } as const;
      await untilGone(runtime.change(parseName(name), request, { wait: true }), call);
      return {};
    },
    GetConfig: ({ name }) => ({ config_json: runtime.configOf(parseName(name)) }),
    async GetLogs({ name, options: { tail = -1, since, until, timestamps = false } }, { signal }) {
      if (tail < -1) throw new ServiceError('InvalidArgs', 'tail is a count of lines, or -1');
      const request = {
        tail: tail === -1 ? undefined : tail,
        since: since === 0n ? undefined : since,
        until: until === 0n ? undefined : until,
        timestamps,
        maxBytes: longestLogBytes,
      };
      return { log: await runtime.logs(parseName(name), request, signal) };
    },
    GetSystemInfo: async (_args, { signal }) => ({ system: await parts.systemInfo(signal) }),
    Cancel({ id }) {
      runtime.cancel(parseName(id));
      return {};
    },
  };
}

/** A module's name and nothing that means the same: authorization was asked about this text. */
function parseName(text: string): ModuleName {
  if (text.startsWith('$')) {
    throw new ServiceError('InvalidArgs', `${quoted(text)} is a cloud id, not a name`);
  }
  return parseModuleName(text);
}

function parseConfig(type: string, configJson: string): ModuleSettings {
  if (type === 'systemd') {
    throw new ServiceError('NotSupported', 'modules of type "systemd" are not run here');
  }
  oneOf(type, 'a type of module', ['docker']);
  return parseSettingsJson(configJson);
}

/** LimitsExceeded for a configuration and an environment that are too long together: the table knows only each. */
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
      throw new ServiceError('InvalidArgs', `${quoted(key)} is no name of a variable`);
    }
  }
  return env;
}

/** Waits no longer than the caller does. What was begun goes on. */
async function untilGone(operation: Promise<void>, { signal }: CallContext): Promise<void> {
  let leave = (): void => {};
  const gone = new Promise<never>((_resolve, reject) => {
    leave = () => reject(new ServiceError('Cancelled', 'the wait was given up; the work goes on'));
  });
  signal.addEventListener('abort', leave, { once: true });
  try {
    await Promise.race([operation, gone]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
