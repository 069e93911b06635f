import { setImmediate as afterReads } from 'node:timers/promises';
import type { Bus } from '../../dbus/bus.ts';
import type { Log } from '../log/log.ts';
import type { ManagerEnvironment } from './manager-environment.ts';

/** The process under supervision, and how its manager hears of it. */
export interface WatchdogParts {
  readonly bus: Pick<Bus, 'call'>;
  readonly notify: (state: string) => boolean;
  readonly log: Log;
}

/** What a process may do and still count as alive. */
export interface WatchdogLimits {
  /** How long something may keep the event loop from running a timer. */
  readonly delayMs: number;
  /** How long the bus may fail to reply. */
  readonly busMs: number;
  /** How long one reply of the bus is awaited. */
  readonly replyMs: number;
  /** When the next look follows one that found a delay. */
  readonly againMs: number;
}

const defaultLimits = { delayMs: 10_000, busMs: 60_000, replyMs: 10_000, againMs: 1000 };

const roundTrip = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
  member: 'GetId',
} as const;

/** Starts the watchdog that systemd demands of this process; undefined when it demands none. */
export function startWatchdog(
  environment: ManagerEnvironment,
  parts: WatchdogParts,
): Disposable | undefined {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: pid = String(process.pid) } = environment;
  const everyMs = Number(microseconds) / 3000;
  if (!/^[0-9]+$/.test(microseconds) || everyMs <= 0 || pid !== String(process.pid)) {
    return undefined;
  }
  return new Watchdog(everyMs, parts);
}

/**
 * Sends WATCHDOG=1 at a third of the watchdog interval, after a check of the event loop's delay and a round trip on the
 * bus. A delayed event loop skips one notification, and is checked again soon. A bus that does not reply stops the
 * notifications only after a minute, since a restart of this service does not mend it.
 */
export class Watchdog implements Disposable {
  readonly #everyMs: number;
  readonly #parts: WatchdogParts;
  readonly #limits: WatchdogLimits;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Start of the first round trip that failed after the last successful one. */
  #failingSince: number | undefined;

  constructor(everyMs: number, parts: WatchdogParts, limits: WatchdogLimits = defaultLimits) {
    this.#everyMs = everyMs;
    this.#parts = parts;
    this.#limits = limits;
    this.#schedule(everyMs);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(inMs: number): void {
    if (this.#stopped) return;
    const dueAt = performance.now() + inMs;
    this.#timer = setTimeout(() => void this.#look(dueAt), inMs).unref();
  }

  async #look(dueAt: number): Promise<void> {
    const startedAt = performance.now();
    const tooLateMs = Math.min(this.#limits.delayMs, this.#everyMs / 2);
    // what the timer waited for, and what one turn of the loop takes with everything that is ready to be read
    await afterReads();
    const delayMs = Math.round(Math.max(startedAt - dueAt, performance.now() - startedAt));
    if (delayMs > tooLateMs) {
      this.#parts.log.warn('event loop delayed, watchdog not reset', { delayMs });
      this.#schedule(Math.min(this.#limits.againMs, this.#everyMs));
      return;
    }
    if (await this.#isBusAlive(startedAt)) this.#parts.notify('WATCHDOG=1');
    this.#schedule(Math.max(0, startedAt + this.#everyMs - performance.now()));
  }

  /** Whether the bus replied, or has failed to for less than its limit. */
  async #isBusAlive(now: number): Promise<boolean> {
    const timeoutMs = Math.min(this.#limits.replyMs, this.#everyMs / 2);
    try {
      await this.#parts.bus.call(roundTrip, { timeoutMs });
      this.#failingSince = undefined;
      return true;
    } catch {
      if (this.#stopped) return false;
      this.#failingSince ??= now;
      const failingMs = Math.round(performance.now() - this.#failingSince);
      this.#parts.log.warn('no reply from the bus', { failingMs });
      return failingMs < this.#limits.busMs;
    }
  }
}
