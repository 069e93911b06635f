import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { Server } from '../dbus/server/serve.ts';
import { IdleWatch } from './idle.ts';

type Served = Pick<Server<ServiceDefinition>, 'pendingCalls' | 'lastActivityAt' | 'abandonCalls'>;

/** What a service does besides answering calls. */
interface Work {
  readonly isBusy?: () => boolean;
  readonly due?: () => Date | undefined;
}

/** Of a service that leaves by itself, and of one that is told to. */
const callsMayFinishMs = { idle: 10_000, stopped: 3000 };
const callsMayGiveUpMs = 2000;
const lookEveryMs = 10;

/** When the service ends: told to stop, or idle. */
export interface Shutdown {
  readonly reached: Promise<void>;
  /** Counts idle time anew, up to another limit; 0 is none. */
  readonly countIdle: (idleMs: number) => void;
}

/** Notices when the service is to end. */
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
 * Gives the name back and finishes what was sent before: everything that the bus routed here arrives before its
 * reply to ReleaseName. Operations that nobody waits for are finished too, unless the service was told to stop.
 */
export async function drain(
  running: Pick<Work, 'isBusy'>,
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
  if (await ends(isBusy, callsMayFinishMs[stop.aborted ? 'stopped' : 'idle'])) return;
  server.abandonCalls();
  await ends(isCalled, callsMayGiveUpMs);
}

async function ends(isGoingOn: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isGoingOn()) {
    if (performance.now() > end) return false;
    await pause(lookEveryMs);
  }
  return true;
}
