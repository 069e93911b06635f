import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import { Callers } from '../dbus/server/caller.ts';
import { ObjectManager } from '../dbus/server/object-manager.ts';
import { type Server, serve } from '../dbus/server/serve.ts';
import { describeError } from '../errors.ts';
import { nameParsers } from '../ids.ts';
import { SystemAccounts } from './accounts.ts';
import { configApplier, type LoadedConfig } from './apply-config.ts';
import { Audit } from './authorization/audit.ts';
import { Authorizations } from './authorization/authorization.ts';
import { Cleanup } from './cleanup.ts';
import { type CommonConfig, serviceUsers } from './config/common-config.ts';
import type { Log, ServiceLog } from './log/log.ts';
import { LogSettings } from './log/log-settings.ts';
import { ReloadQueue } from './reload-queue.ts';
import type { ServiceProgram, StartContext, StartedService } from './service-program.ts';
import { ShownFile } from './shown-file.ts';
import { drain, watchForShutdown } from './shutdown.ts';

/** What the process gives a service to run with. */
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
    log.warn('started with incomplete state', { error: describeError(error) });
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
  const apply = configApplier({ ...lifecycle, config, log }, (changed) =>
    end.countIdle(idleMsOf(changed)),
  );
  const setProblem = (problem: string): void => objects.setProblem(problem);
  const reloads = new ReloadQueue({ load, apply, setProblem, notify, stop, log });
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
    log.error('log not opened', { error: describeError(error) });
  });
}
