import { setTimeout } from 'node:timers/promises';
import { describeError } from '../../errors.ts';
import { Backoff } from '../../service/backoff.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import type { Log } from '../../service/log/log.ts';
import { EngineUnreachable, type InstanceEnd, type ModuleType } from './module-type.ts';

const backoffOptions = { minMs: 0, firstMs: 1_000, maxMs: 30_000, healthyMs: 60_000 };

/** Observed state of the engine of a type of modules. */
export interface EngineStatus {
  readonly name: string;
  readonly version: string;
  readonly reachable: boolean;
  /** Whether the last connection lasted for a minute, or there was none: then this one resets the backoffs of modules. */
  readonly steady: boolean;
  /** When it was reached last: instances that had ended by then may have ended with it. */
  readonly reachedAt: Date | undefined;
  /** Why it is unreachable, `` when it is reachable. */
  readonly error: string;
}

/** Dependencies and listeners of a monitor. */
export interface MonitorOptions {
  readonly type: Pick<ModuleType, 'name' | 'version' | 'watch' | 'appeared'>;
  readonly log: Log;
  readonly now: () => Date;
  /** The engine became reachable or unreachable; events in between are lost. */
  readonly onStatus: (status: EngineStatus) => void;
  /** The instance of this name changed. */
  readonly onInstance: (name: string) => void;
  /** The instance has just ended; `onInstance` follows. */
  readonly onEnd?: (end: InstanceEnd) => void;
  /** Resolves after a delay, or when the signal aborts. */
  readonly sleep?: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Watches the engine, and reconnects with backoff while it is unreachable: after 1 s, doubled each time, 30 s at most, and
 * at once when the engine appears.
 */
export class EngineMonitor {
  readonly #options: MonitorOptions;
  /** Without jitter: the engine is on this device. */
  readonly #backoff = new Backoff(backoffOptions, () => 1);
  #isSteady = true;
  #round = new AbortController();
  #status: EngineStatus;
  readonly #known: Promise<void>;
  readonly #settleKnown: () => void;

  constructor(options: MonitorOptions) {
    this.#options = options;
    const { name } = options.type;
    const unknown = { version: '', reachable: false, reachedAt: undefined, error: '' };
    this.#status = { name, ...unknown, steady: true };
    let settle = (): void => undefined;
    this.#known = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settleKnown = settle;
  }

  get status(): EngineStatus {
    return this.#status;
  }

  /** Resolves when it is first known whether the engine is reachable. */
  get known(): Promise<void> {
    return this.#known;
  }

  /** Watches until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const before = this.#status.reachedAt;
      this.#round = new AbortController();
      using joined = new JoinedSignal([signal, this.#round.signal]);
      const round = joined.signal;
      try {
        await this.#watch(round);
      } catch (error) {
        if (signal.aborted) return;
        if (round.aborted) continue;
        this.#lost(error);
      }
      const delayMs = this.#backOff(before);
      await this.#pause(delayMs, round);
    }
  }

  /** Resolves after the delay, when the engine appears, or when the signal aborts. */
  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    using joined = new JoinedSignal([signal, end.signal]);
    const delay = (this.#options.sleep ?? sleep)(delayMs, joined.signal);
    // without a watch the delay remains
    await Promise.any([delay, this.#options.type.appeared(joined.signal)]);
    end.abort();
  }

  /** Connects to the engine anew: the configuration names another one now. */
  reconnect(): void {
    this.#round.abort();
  }

  /** Returns the delay until the next attempt; it starts over after a connection that lasted. */
  #backOff(reachedBefore: Date | undefined): number {
    const now = this.#options.now();
    const { reachedAt } = this.#status;
    if (reachedAt === undefined || reachedAt === reachedBefore) return this.#backoff.failed(now);
    const lastedMs = now.getTime() - reachedAt.getTime();
    this.#isSteady = lastedMs >= backoffOptions.healthyMs;
    return this.#backoff.failed(now, { lastedMs });
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { type, log, now, onStatus, onInstance, onEnd } = this.#options;
    const { name, version } = await type.version(signal);
    const events = await type.watch(signal, onEnd);
    const steady = this.#isSteady;
    this.#status = { name, version, reachable: true, steady, reachedAt: now(), error: '' };
    log.info('container engine reachable', { name, version });
    onStatus(this.#status);
    this.#settleKnown();
    for await (const changed of events) onInstance(changed);
  }

  #lost(error: unknown): void {
    const { log, onStatus } = this.#options;
    const text = describeError(error);
    if (this.#status.reachable || this.#status.error === '') {
      log.warn('container engine unreachable', { error: text });
    }
    this.#status = { ...this.#status, reachable: false, error: text };
    onStatus(this.#status);
    this.#settleKnown();
  }
}

/** Does not keep the process alive. */
async function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  await setTimeout(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
}

/** Throws Unavailable while the engine is known to be unreachable. */
export function refuseUnreachable({ error }: EngineStatus): void {
  if (error !== '') throw new EngineUnreachable('Unavailable', error);
}
