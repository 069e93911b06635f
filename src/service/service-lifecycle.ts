import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import { Callers } from '../dbus/server/caller.ts';
import { ObjectManager } from '../dbus/server/object-manager.ts';
import { type Server, serve } from '../dbus/server/serve.ts';
import { type ServingOptions } from '../dbus/server/serve-options.ts';
import { describeError, ServiceError } from '../errors.ts';
import { nameParsers } from '../ids.ts';
import { type Accounts, SystemAccounts } from './accounts.ts';
import { Audit } from './authorization/audit.ts';
import { Authorizations } from './authorization/authorization.ts';
import { Cleanup } from './cleanup.ts';
import { type CommonConfig, serviceUsers } from './config/common-config.ts';
import { type Log, priorityOf, type ServiceLog } from './log/log.ts';
import { LogSettings } from './log/log-settings.ts';
import { Reloads } from './reload.ts';
import { ShownFile } from './shown-file.ts';
import { drain, watchForShutdown } from './shutdown.ts';

/** What a service is given to start with. */
export interface StartContext<S extends ServiceDefinition, C> {
  readonly bus: Bus;
  /** The objects on the bus; when the start is over, every property of the manager has a value. */
  readonly objects: ObjectManager<S>;
  readonly config: C;
  /** Exists, and only the service's user can enter it. */
  readonly stateDir: string;
  readonly log: Log;
  /** Aborted when the service stops: while it starts at once, later after the last call was answered. */
  readonly signal: AbortSignal;
  /** Undone after that. */
  readonly cleanup: Cleanup;
  readonly now: () => Date;
  readonly startedAt: Date;
  readonly version: string;
}

/** The methods and properties that the dispatcher calls. */
export interface Implementation<S extends ServiceDefinition> {
  readonly handlers: ServingOptions<S, typeof nameParsers>['handlers'];
  readonly resolvers: ServingOptions<S, typeof nameParsers>['resolvers'];
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
}

/** What calls are answered with from now on, as far as another configuration changes it. */
export interface Reloaded<S extends ServiceDefinition> extends Partial<Implementation<S>> {
  /** Called when the last call has ended that began under the configuration before. */
  readonly retire?: () => Promise<void> | void;
}

/** A service that has started: its implementation, its hooks, and when it may end. */
export interface StartedService<S extends ServiceDefinition, C = CommonConfig>
  extends Implementation<S> {
  /** Puts another configuration in force; a rejection leaves the one before as it was. */
  readonly reload?: (config: C) => Promise<Reloaded<S>>;
  /**
   * Resolves when what the properties show holds, as far as that is for a neighbour or an engine to say. The name waits
   * for it a second; what is found out later is announced.
   */
  readonly ready?: () => Promise<void>;
  /** Called once the service has its name. */
  readonly onNameAcquired?: () => void;
  /** Whether an operation is unfinished that no call waits for. */
  readonly isBusy?: () => boolean;
  /** When something has to be done next. */
  readonly due?: () => Date | undefined;
}

/** One of the services, as its `main.ts` states it. */
export interface ServiceProgram<S extends ServiceDefinition, C extends CommonConfig> {
  readonly service: S;
  readonly start: (context: StartContext<S, C>) => Promise<StartedService<S, C>>;
  /** False for a service that never ends by itself. */
  readonly idleExit?: boolean;
  /** The settings that need a restart to change, each with its value; where state is kept is one anyway. */
  readonly fixedSettings?: (config: C) => Readonly<Record<string, unknown>>;
}

/** A configuration as it was read. */
export interface LoadedConfig<C> {
  readonly config: C;
  /** Where the users and groups of its rules are looked up. */
  readonly accounts: Accounts;
}

/** What a service runs with. */
export interface ServiceEnvironment<C> extends LoadedConfig<C> {
  readonly bus: Bus;
  readonly stateDir: string;
  readonly log: ServiceLog;
  readonly version: string;
  /** Tells systemd about the state of the process; false without systemd. */
  readonly notify: (state: string) => boolean;
  /** Aborted when the service is to stop. */
  readonly stop: AbortSignal;
  /** Reads the configuration again; throws `ConfigError`. */
  readonly loadConfig: () => Promise<LoadedConfig<C>>;
  /** Calls back for every reload that was asked for, those included that came before. */
  readonly onReloadRequest: (listener: () => void) => void;
}

/** The parts of a service that runs. */
interface Lifecycle<S extends ServiceDefinition, C extends CommonConfig> {
  readonly program: ServiceProgram<S, C>;
  readonly started: StartedService<S, C>;
  readonly environment: ServiceEnvironment<C>;
  readonly objects: ObjectManager<S>;
  readonly server: Server<S>;
  readonly authorizations: Authorizations;
  readonly shown: ShownFile;
  readonly logSettings: LogSettings;
}

const logOpensAfterMs = 1000;
/** Whoever activates a service waits for it no longer than this because of others. */
const readyWithinMs = 1000;
const shownIsSavedWithinMs = 1000;

/** Serves until told to stop or idle, and stops in order. Rejects when the service cannot start. */
export async function runService<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  environment: ServiceEnvironment<C>,
): Promise<void> {
  await using cleanup = new Cleanup();
  const audit = cleanup.use(new Audit({ log: environment.log }));
  const working = new AbortController();
  try {
    const { bus, config, stateDir, log, stop, version } = environment;
    const startedAt = new Date();
    const { signal } = working;
    const objects = new ObjectManager(bus, program.service, version);
    const shared = { bus, objects, config, stateDir, log, signal, cleanup };
    const context = { ...shared, now, startedAt, version };
    const opening = ShownFile.open({ stateDir, version, log });
    const logSettings = await LogSettings.open({ stateDir, log, bus });
    const started = await startUnlessStopped(program, context, { stop, working });
    if (started === undefined) return;
    const parts = { environment, audit, objects, logSettings };
    const served = await startServer(program, started, parts);
    const shown = await opening;
    await untilReady(started, { stop, log });
    if (!stop.aborted) {
      await serveUntilIdle({ program, started, shown, ...parts, ...served });
    }
  } finally {
    working.abort();
  }
}

/** A start may wait for a token or another service: who stops the service meanwhile waits for neither. */
async function startUnlessStopped<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  context: StartContext<S, C>,
  { stop, working }: { readonly stop: AbortSignal; readonly working: AbortController },
): Promise<StartedService<S, C> | undefined> {
  const abort = (): void => working.abort();
  if (stop.aborted) abort();
  stop.addEventListener('abort', abort);
  try {
    return await program.start(context);
  } catch (error) {
    if (stop.aborted) return undefined;
    throw error;
  } finally {
    stop.removeEventListener('abort', abort);
  }
}

/** Waits for what a service wants to know before anybody reads it, though not for long. */
async function untilReady<S extends ServiceDefinition, C>(
  { ready }: Pick<StartedService<S, C>, 'ready'>,
  { stop, log }: { readonly stop: AbortSignal; readonly log: Log },
): Promise<void> {
  if (ready === undefined) return;
  const over = new AbortController();
  const known = ready().catch((error: unknown) => {
    log.warn('started without knowing everything', { error: describeError(error) });
  });
  const signal = AbortSignal.any([stop, over.signal]);
  const late = pause(readyWithinMs, undefined, { signal }).catch(() => undefined);
  await Promise.race([known, late]);
  over.abort();
}

function now(): Date {
  return new Date();
}

/** From taking the name to the last answer. */
async function serveUntilIdle<S extends ServiceDefinition, C extends CommonConfig>(
  lifecycle: Lifecycle<S, C>,
): Promise<void> {
  const { program, started, environment, objects, server, shown, logSettings } = lifecycle;
  const { bus, config, log, notify, stop, version } = environment;
  objects.onChange(shown.forget);
  const named = bus.requestName(program.service.busName);
  // what is announced from here on follows the name on the wire: no reader comes between
  objects.goLive();
  await named;
  objects.announceSince(shown.before);
  notify('READY=1');
  log.info('started', { version });
  started.onNameAcquired?.();
  const opening = setTimeout(() => openLog(log), logOpensAfterMs).unref();
  const idleMsOf = ({ idle_exit_s: idleS }: C) => (program.idleExit === false ? 0 : idleS * 1000);
  const end = watchForShutdown(started, {
    server,
    stop,
    idleMs: idleMsOf(config),
    isBusy: () => reloads.isPending,
  });
  const { loadConfig: load, onReloadRequest } = environment;
  const apply = reloader(lifecycle, (changed) => end.countIdle(idleMsOf(changed)));
  const show = (problem: string): void => objects.setProblem(problem);
  const reloads = new Reloads({ load, apply, show, notify, stop, log });
  onReloadRequest(reloads.request);
  await end.reached;
  // told to stop, perhaps for a restart: who leaves by itself comes back as it was
  if (stop.aborted) await logSettings.forget();
  clearTimeout(opening);
  notify('STOPPING=1');
  await saveShown(lifecycle);
  await drain(started, {
    environment,
    server,
    busName: program.service.busName,
    isReloading: () => reloads.isPending,
  });
  await saveShown(lifecycle);
  await logSettings.saved();
  log.info('stopped');
}

/** A disk that does not answer holds up nothing. */
async function saveShown<S extends ServiceDefinition, C extends CommonConfig>({
  shown,
  objects,
}: Lifecycle<S, C>): Promise<void> {
  const late = pause(shownIsSavedWithinMs, undefined, { ref: false });
  await Promise.race([shown.save(() => objects.shown()), late]);
}

/** Puts configurations in force, one after the other: what can fail comes first, then all of it at once. */
function reloader<S extends ServiceDefinition, C extends CommonConfig>(
  { program, started, environment, server, authorizations, logSettings }: Lifecycle<S, C>,
  onApplied: (config: C) => void,
): (loaded: LoadedConfig<C>) => Promise<void> {
  const { log } = environment;
  let inForce = environment.config;
  let implementation: Implementation<S> = started;
  return async ({ config, accounts }) => {
    refuseFixed(program, inForce, config);
    const local = new SystemAccounts({ getent: false });
    const authorize = await authorizations.prepare(config, { accounts, local });
    const { retire, ...changed } = (await started.reload?.(config)) ?? {};
    implementation = { ...implementation, ...changed };
    const ended = server.replace({ ...implementation, authorizer: authorize() });
    if (config.log_level !== inForce.log_level) {
      log.level = priorityOf(config.log_level);
      void logSettings.forget();
    }
    inForce = config;
    onApplied(config);
    void ended.then(retire).catch((error: unknown) => {
      log.error('what a reload replaced could not be closed', { error: describeError(error) });
    });
  };
}

/** Throws for a configuration that changes what only a restart can change. */
function refuseFixed<S extends ServiceDefinition, C extends CommonConfig>(
  { service, fixedSettings }: ServiceProgram<S, C>,
  before: C,
  after: C,
): void {
  const fixed = (config: C) => ({
    homedir_path: config.homedir_path ?? config.homedir,
    ...fixedSettings?.(config),
  });
  const old = new Map<string, unknown>(Object.entries(fixed(before)));
  const changed = Object.entries(fixed(after))
    .filter(([name, value]) => !isDeepStrictEqual(value, old.get(name)))
    .map(([name]) => name);
  if (changed.length === 0) return;
  const text = `restart needed: ${changed.join(', ')} of ${service.name}.yaml changed`;
  throw new ServiceError('NotSupported', text);
}

async function startServer<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  started: StartedService<S, C>,
  {
    environment,
    audit,
    objects,
    logSettings,
  }: Pick<Lifecycle<S, C>, 'environment' | 'objects' | 'logSettings'> & { readonly audit: Audit },
): Promise<Pick<Lifecycle<S, C>, 'server' | 'authorizations'>> {
  const { bus, config, accounts } = environment;
  const local = new SystemAccounts({ getent: false });
  const callers = await Callers.start(bus);
  const authorizations = new Authorizations({ bus, callers, service: program.service });
  const authorize = await authorizations.prepare(config, { accounts, local });
  const uids = await Promise.all(serviceUsers.map((name) => local.uid(name)));
  const trustedUids = new Set(uids.filter((uid) => uid !== undefined));
  const { handlers, resolvers, describeMore } = started;
  const server = serve(bus, objects, {
    handlers,
    resolvers,
    authorizer: authorize(),
    callers,
    names: nameParsers,
    logControl: logSettings,
    observer: audit,
    trustedUids,
    ...(describeMore && { describeMore }),
  });
  return { server, authorizations };
}

function openLog(log: ServiceLog): void {
  log.open().catch((error: unknown) => {
    log.flush();
    log.error('the log could not be opened', { error: describeError(error) });
  });
}
