import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '../dbus/bus.ts';
import { Callers } from '../dbus/caller.ts';
import type { Properties, Resolvers, ServiceDefinition } from '../dbus/definition.ts';
import { type CallContext, type ServeOptions, type Server, serve } from '../dbus/serve.ts';
import { describeError } from '../errors.ts';
import { nameParsers } from '../ids.ts';
import { type Accounts, SystemAccounts } from './accounts.ts';
import { Audit } from './audit.ts';
import { createAuthorization } from './authorization.ts';
import { Cleanup } from './cleanup.ts';
import { type CommonConfig, serviceUsers } from './common-config.ts';
import { IdleWatch } from './idle.ts';
import type { Log, ServiceLog } from './log.ts';

/** What a service is given to start with. */
export interface StartContext<C> {
  readonly bus: Bus;
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

/** A service that has started: how it answers, and when it may end. */
export interface Running<S extends ServiceDefinition> {
  readonly handlers: ServeOptions<S>['handlers'];
  readonly resolvers: Resolvers<S['manager'], CallContext>;
  readonly properties: Properties<S['manager']>;
  /** More for `Describe`. */
  readonly describeMore?: () => Readonly<Record<string, unknown>>;
  /** Puts the objects on the server, which the service keeps for its news; the name is not taken yet. */
  readonly publish?: (server: Server<S>) => void;
  /** The service has its name: what is due may begin. */
  readonly live?: () => void;
  /** Whether an operation is unfinished that no call waits for. */
  readonly isBusy?: () => boolean;
  /** When something has to be done next. */
  readonly due?: () => Date | undefined;
}

/** One of the services, as its `main.ts` states it. */
export interface ServiceProgram<S extends ServiceDefinition, C extends CommonConfig> {
  readonly service: S;
  readonly start: (context: StartContext<C>) => Promise<Running<S>>;
  /** False for a service that never ends by itself. */
  readonly idleExit?: boolean;
}

/** What a service runs with. */
export interface Surroundings<C> {
  readonly bus: Bus;
  readonly config: C;
  /** Where the users and groups of rules are looked up. */
  readonly accounts: Accounts;
  readonly stateDir: string;
  readonly log: ServiceLog;
  readonly version: string;
  /** Tells systemd about the state of the process; false without systemd. */
  readonly notify: (state: string) => boolean;
  /** Aborted when the service is to stop. */
  readonly stop: AbortSignal;
}

const LOG_OPENS_AFTER_MS = 1000;
/** Of a service that leaves by itself, and of one that is told to. */
const CALLS_MAY_FINISH_MS = { idle: 10_000, stopped: 3000 };
const CALLS_MAY_GIVE_UP_MS = 2000;
const LOOK_EVERY_MS = 10;

/** Serves until told to stop or idle, and stops in order. Rejects when the service cannot start. */
export async function serveUntilStopped<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  surroundings: Surroundings<C>,
): Promise<void> {
  await using cleanup = new Cleanup();
  const audit = cleanup.use(new Audit({ log: surroundings.log }));
  const working = new AbortController();
  try {
    const { bus, config, stateDir, log, stop, version } = surroundings;
    const startedAt = new Date();
    const { signal } = working;
    const context = { bus, config, stateDir, log, signal, cleanup, now, startedAt, version };
    const running = await startUnlessStopped(program, context, { stop, working });
    if (running === undefined) return;
    const server = await exportObjects(program, running, { surroundings, audit });
    if (!stop.aborted) await live(program, running, { surroundings, server });
  } finally {
    working.abort();
  }
}

/** A start may wait for a token or another service: who stops the service meanwhile waits for neither. */
async function startUnlessStopped<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  context: StartContext<C>,
  { stop, working }: { readonly stop: AbortSignal; readonly working: AbortController },
): Promise<Running<S> | undefined> {
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

function now(): Date {
  return new Date();
}

/** From taking the name to the last answer. */
async function live<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  running: Running<S>,
  { surroundings, server }: { readonly surroundings: Surroundings<C>; readonly server: Server<S> },
): Promise<void> {
  const { bus, config, log, notify, stop, version } = surroundings;
  await bus.requestName(program.service.busName);
  server.goLive();
  notify('READY=1');
  log.info('started', { version });
  running.live?.();
  const opening = setTimeout(() => openLog(log), LOG_OPENS_AFTER_MS).unref();
  const idleMs = program.idleExit === false ? 0 : config.idle_exit_s * 1000;
  await untilStopOrIdle(running, { server, idleMs, stop });
  clearTimeout(opening);
  notify('STOPPING=1');
  await drain(running, { surroundings, server, busName: program.service.busName });
  log.info('stopped');
}

async function exportObjects<S extends ServiceDefinition, C extends CommonConfig>(
  program: ServiceProgram<S, C>,
  running: Running<S>,
  { surroundings, audit }: { readonly surroundings: Surroundings<C>; readonly audit: Audit },
): Promise<Server<S>> {
  const { bus, config, log, accounts } = surroundings;
  const { service } = program;
  const local = new SystemAccounts({ getent: false });
  const callers = await Callers.start(bus);
  const options = { bus, callers, service, config, accounts, local };
  const authorizer = await createAuthorization(options);
  const trusted = new Set(await Promise.all(serviceUsers.map((name) => local.uid(name))));
  const { handlers, resolvers, properties, describeMore } = running;
  const server = serve(bus, service, {
    handlers,
    resolvers,
    properties,
    authorizer,
    callers,
    names: nameParsers,
    logControl: log,
    observer: audit,
    isTrusted: (uid) => trusted.has(uid),
    ...(describeMore && { describeMore }),
  });
  running.publish?.(server);
  return server;
}

async function untilStopOrIdle<S extends ServiceDefinition>(
  running: Running<S>,
  options: { readonly server: Server<S>; readonly idleMs: number; readonly stop: AbortSignal },
): Promise<void> {
  const { server, idleMs, stop } = options;
  await new Promise<void>((resolve) => {
    const watch = new IdleWatch({
      idleMs,
      isBusy: () => server.callsUnderWay > 0 || running.isBusy?.() === true,
      due: () => running.due?.(),
      now,
      onIdle: resolve,
    });
    server.onActivity(watch.activity);
    const end = (): void => {
      watch[Symbol.dispose]();
      resolve();
    };
    if (stop.aborted) end();
    else stop.addEventListener('abort', end, { once: true });
  });
}

/**
 * Gives the name back and finishes what was sent before: everything that the bus routed here arrives before its
 * reply to ReleaseName. Operations that nobody waits for are finished too, unless the service was told to stop.
 */
async function drain<S extends ServiceDefinition>(
  running: Running<S>,
  {
    surroundings: { bus, stop },
    server,
    busName,
  }: {
    readonly surroundings: Surroundings<unknown>;
    readonly server: Server<S>;
    readonly busName: string;
  },
): Promise<void> {
  await bus.releaseName(busName);
  const isCalled = (): boolean => server.callsUnderWay > 0;
  const isBusy = (): boolean => isCalled() || (!stop.aborted && running.isBusy?.() === true);
  if (await ends(isBusy, CALLS_MAY_FINISH_MS[stop.aborted ? 'stopped' : 'idle'])) return;
  server.abandonCalls();
  await ends(isCalled, CALLS_MAY_GIVE_UP_MS);
}

async function ends(isGoingOn: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isGoingOn()) {
    if (performance.now() > end) return false;
    await pause(LOOK_EVERY_MS);
  }
  return true;
}

function openLog(log: ServiceLog): void {
  log.open().catch((error: unknown) => {
    log.flush();
    log.error('the log could not be opened', { error: describeError(error) });
  });
}
