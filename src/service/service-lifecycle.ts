import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import { Callers } from '../dbus/server/caller.ts';
import { ObjectManager } from '../dbus/server/object-manager.ts';
import { type Server, serve } from '../dbus/server/serve.ts';
import { describeError } from '../errors.ts';
import { nameParsers } from '../ids.ts';
import { releaseMemory } from '../native/release-memory.ts';
import { SystemAccounts } from './accounts.ts';
import { Audit } from './authorization/audit.ts';
import { Authorizations } from './authorization/authorization.ts';
import { Cleanup } from './cleanup.ts';
import { type CommonConfig, serviceUsers } from './config/common-config.ts';
import { DigestFile } from './digest-file.ts';
import type { Log, ServiceLog } from './log/log.ts';
import { LogSettings } from './log/log-settings.ts';
import { Repeats } from './log/repeats.ts';
import { watchMachine } from './machine.ts';
import { ProcessDescription } from './process-description.ts';
import { configApplier, type LoadedConfig } from './reload/apply-config.ts';
import { ReloadQueue } from './reload/reload-queue.ts';
import type { ServiceProgram, StartContext, StartedService } from './service-program.ts';
import { drain, watchForShutdown } from './shutdown.ts';
import { reportSandbox } from './systemd/sandbox.ts';
import { SystemdSockets } from './systemd/sockets.ts';

/** The environment that the process provides for a service. */
export interface ServiceEnvironment<C> extends LoadedConfig<C> {
  readonly bus: Bus;
  readonly stateDir: string;
  /** The directory below /run that systemd made; none by default. */
  readonly runtimeDir?: string | undefined;
  readonly log: ServiceLog;
  readonly version: string;
  /** Those that systemd passed; none by default. */
  readonly sockets?: SystemdSockets;
  /** Notifies systemd of the state of the process; false without systemd. */
  readonly notify: (state: string) => boolean;
  /** Aborted when the service must stop. */
  readonly stop: AbortSignal;
  /** Reads the configuration again; throws `ConfigError`. */
  readonly loadConfig: () => Promise<LoadedConfig<C>>;
  /** Calls the listener for every requested reload, earlier requests included. */
  readonly onReloadRequest: (listener: () => void) => void;
}

/** The parts of a running service. */
interface Lifecycle<S extends ServiceDefinition, C extends CommonConfig> {
  readonly program: ServiceProgram<S, C>;
  readonly started: StartedService<S, C>;
  readonly environment: ServiceEnvironment<C>;
  readonly objects: ObjectManager<S>;
  readonly server: Server<S>;
  readonly authorizations: Authorizations;
  readonly digests: DigestFile;
  readonly logSettings: LogSettings;
  readonly description: ProcessDescription;
}

const completedAfterMs = 1000;
/** A client that activates a service waits no longer than this for other processes. */
const readyWithinMs = 1000;
const digestsSavedWithinMs = 1000;

/** Serves until the service is stopped or idle, and stops in order. Rejects when the service cannot start. */
export async function runService<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  environment: ServiceEnvironment<C>,
): Promise<void> {
  await using cleanup = new Cleanup();
  const audit = cleanup.use(new Audit({ log: environment.log }));
  const working = new AbortController();
  try {
    const { bus, config, stateDir, runtimeDir, log, stop, version } = environment;
    const startedAt = new Date();
    const { signal } = working;
    const objects = new ObjectManager(bus, program.service, version);
    reportHealth(objects, cleanup.use(new Repeats({ log })), log);
    const shared = { bus, objects, config, stateDir, runtimeDir, log, signal, cleanup };
    const { sockets = new SystemdSockets({}, environment) } = environment;
    const context = { ...shared, now, startedAt, version, sockets };
    const opening = DigestFile.open({ stateDir, version, log });
    const logSettings = await LogSettings.open({ stateDir, log, bus });
    const started = await startUnlessStopped(program, context, { stop, working });
    if (started === undefined) return;
    sockets.closeRest();
    const description = new ProcessDescription(environment);
    const machine = { objects, now, environment: process.env };
    cleanup.use(watchMachine(machine, new SystemAccounts({ getent: false })));
    const parts = { environment, audit, objects, logSettings, description };
    const served = await startServer(program, started, parts);
    const digests = await opening;
    await untilReady(started, { stop, log });
    if (!stop.aborted) {
      await serveUntilIdle({ program, started, digests, ...parts, ...served });
    }
  } finally {
    working.abort();
  }
}

/** A start may wait for a token or another service; a stop in the meantime waits for neither. */
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

/** Waits, though not for long, for state that clients should see complete at their first read. */
async function untilReady<S extends ServiceDefinition, C>(
  { ready }: Pick<StartedService<S, C>, 'ready'>,
  { stop, log }: { readonly stop: AbortSignal; readonly log: Log },
): Promise<void> {
  if (ready === undefined) return;
  const over = new AbortController();
  const known = ready().catch((error: unknown) => {
    log.warn('started with incomplete state', { error: describeError(error) });
  });
  const signal = AbortSignal.any([stop, over.signal]);
  const late = pause(readyWithinMs, undefined, { signal }).catch(() => undefined);
  await Promise.race([known, late]);
  over.abort();
}

/** Every problem that LastError shows is in the journal, too, whichever part of the service it is of. */
function reportHealth(
  objects: Pick<ObjectManager<ServiceDefinition>, 'onHealth'>,
  repeats: Repeats,
  log: Log,
): void {
  objects.onHealth((problem) => {
    if (problem === '') log.info('health restored');
    else {
      repeats.note(problem, {
        level: 'warn',
        message: 'health degraded',
        cause: ['part', 'health'],
        fields: () => ({ problem }),
      });
    }
  });
}

function now(): Date {
  return new Date();
}

/** From requesting the name to the last reply. */
async function serveUntilIdle<S extends ServiceDefinition, C extends CommonConfig>(
  lifecycle: Lifecycle<S, C>,
): Promise<void> {
  const { program, started, environment, objects, server, digests, logSettings } = lifecycle;
  const { bus, config, log, notify, stop, version } = environment;
  objects.onChange(digests.invalidate);
  const named = bus.requestName(program.service.busName);
  // signals emitted from here on follow the name on the wire: no client reads in between
  objects.goLive();
  await named;
  objects.announceSince(digests.before);
  notify('READY=1');
  log.info('started', { version });
  started.onNameAcquired?.();
  const completing = setTimeout(() => void completeStart(lifecycle), completedAfterMs).unref();
  const idleMsOf = ({ idle_exit_s: idleS }: C) => (program.idleExit === false ? 0 : idleS * 1000);
  const end = watchForShutdown(started, {
    server,
    stop,
    idleMs: idleMsOf(config),
    isBusy: () => reloads.isPending,
  });
  const { loadConfig: load, onReloadRequest } = environment;
  const apply = configApplier({ ...lifecycle, config, log }, (changed) => {
    lifecycle.description.configuration = changed;
    end.countIdle(idleMsOf(changed.config));
  });
  const setProblem = (problem: string): void => objects.setProblem('configuration', problem);
  const reloads = new ReloadQueue({ load, apply, setProblem, notify, stop, log });
  onReloadRequest(reloads.request);
  await end.reached;
  // stopped, perhaps for a restart: only an idle exit preserves the settings
  if (stop.aborted) await logSettings.discard();
  clearTimeout(completing);
  notify('STOPPING=1');
  await saveDigests(lifecycle);
  await drain(started, {
    environment,
    server,
    busName: program.service.busName,
    isReloading: () => reloads.isPending,
  });
  await saveDigests(lifecycle);
  await logSettings.saved();
  log.info('stopped');
}

/** A disk that hangs delays nothing. */
async function saveDigests<S extends ServiceDefinition, C extends CommonConfig>({
  digests,
  objects,
}: Lifecycle<S, C>): Promise<void> {
  const late = pause(digestsSavedWithinMs, undefined, { ref: false });
  await Promise.race([digests.save(() => objects.digests()), late]);
}

async function startServer<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  started: StartedService<S, C>,
  {
    environment,
    audit,
    objects,
    logSettings,
    description,
  }: Pick<Lifecycle<S, C>, 'environment' | 'objects' | 'logSettings' | 'description'> & {
    readonly audit: Audit;
  },
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
    describeProcess: (caller) => description.for(caller),
  });
  return { server, authorizations };
}

/** Memory is released when no call was served for this long. */
const quietMs = 500;

/** Does what a start does not wait for. */
async function completeStart<S extends ServiceDefinition, C extends CommonConfig>({
  environment: { log },
  program: { unconfined = [] },
  server,
  description,
}: Lifecycle<S, C>): Promise<void> {
  try {
    await log.open();
  } catch (error) {
    log.flush();
    log.error('log not opened', { error: describeError(error) });
  }
  reportSandbox(description.sandbox, { log, environment: process.env, unconfined });
  // it blocks the thread: not while calls are pending or frequent
  do await pause(quietMs, undefined, { ref: false });
  while (server.pendingCalls > 0 || performance.now() - server.lastActivityAt < quietMs);
  await releaseMemory();
}
