import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { Server } from '../dbus/server/serve.ts';
import { IdleWatch } from './idle.ts';

type Served = Pick<Server<ServiceDefinition>, 'pendingCalls' | 'lastActivityAt' | 'abandonCalls'>;

/** Activity of a service besides its calls. */
interface Work {
  readonly isBusy?: () => boolean;
  readonly onOverdue?: () => void;
  readonly due?: () => Date | undefined;
}

/** Time limits for pending calls at an idle exit and when the service is stopped, for overdue ones, and for aborted ones. */
const pendingCallsMs = { idle: 10_000, stopped: 3000 };
const overdueCallsMs = 200;
const abortedCallsMs = 2000;
const pollEveryMs = 10;

/** The longest that `drain` takes. systemd times an idle exit like a stop, by TimeoutStopSec= of the units. */
export const longestDrainMs = pendingCallsMs.idle + overdueCallsMs + abortedCallsMs;

/** The end of a service: stopped, or idle. */
export interface Shutdown {
  readonly reached: Promise<void>;
  /** Restarts the idle time with another limit; 0 disables the idle exit. */
  readonly countIdle: (idleMs: number) => void;
}

/** Detects when the service must end. */
export function watchForShutdown(
  running: Work,
  options: {
    readonly server: Served;
    readonly idleMs: number;
    readonly stop: AbortSignal;
    readonly isBusy: () => boolean;
  },
): Shutdown {
  const { server, idleMs, stop, isBusy } = options;
  let reach = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const watch = new IdleWatch({
    idleMs,
    isBusy: () => server.pendingCalls > 0 || running.isBusy?.() === true || isBusy(),
    lastActivityAt: () => server.lastActivityAt,
    due: () => running.due?.(),
    now: () => new Date(),
    onIdle: reach,
  });
  const end = (): void => {
    watch[Symbol.dispose]();
    reach();
  };
  if (stop.aborted) end();
  else stop.addEventListener('abort', end, { once: true });
  return {
    reached,
    countIdle: (changed) => {
      watch.idleMs = changed;
    },
  };
}

/**
 * Releases the name and finishes earlier calls: everything that the bus routed here arrives before its reply to
 * ReleaseName. Operations without a waiting call are finished too, unless the service was stopped.
 */
export async function drain(
  running: Pick<Work, 'isBusy' | 'onOverdue'>,
  {
    environment: { bus, stop },
    server,
    busName,
    isReloading,
  }: {
    readonly environment: { readonly bus: Bus; readonly stop: AbortSignal };
    readonly server: Served;
    readonly busName: string;
    readonly isReloading: () => boolean;
  },
): Promise<void> {
  await bus.releaseName(busName);
  const isCalled = (): boolean => server.pendingCalls > 0 || isReloading();
  const isBusy = (): boolean => isCalled() || (!stop.aborted && running.isBusy?.() === true);
  if (await waitForEnd(isBusy, pendingCallsMs[stop.aborted ? 'stopped' : 'idle'])) return;
  running.onOverdue?.();
  // these failures have reasons, which those of abandoned calls have not
  if (await waitForEnd(isCalled, overdueCallsMs)) return;
  server.abandonCalls();
  await waitForEnd(isCalled, abortedCallsMs);
}

async function waitForEnd(isGoingOn: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isGoingOn()) {
    if (performance.now() > end) return false;
    await pause(pollEveryMs);
  }
  return true;
}
