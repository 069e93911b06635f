import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { describeError } from '../../errors.ts';
import { Backoff } from '../../service/backoff.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import type { Log } from '../../service/log/log.ts';
import { EngineUnreachable, type InstanceEnd, type ModuleType } from './module-type.ts';

const pings = { everyMs: 30_000, limitMs: 10_000 };
/** One may be late on a busy machine, or after it was suspended. */
const missedPings = 2;
const backoffOptions = { minMs: 0, firstMs: 1_000, maxMs: 30_000, healthyMs: 60_000 };

/** Observed state of the engine of a type of modules. */
export interface EngineStatus {
  readonly name: string;
  readonly version: string;
  readonly reachable: boolean;
  /**
   * Whether it resets the backoffs of modules: the last connection lasted for a minute, or there was none, and not when
   * an engine that hung responds again.
   */
  readonly steady: boolean;
  /** When it was reached last: instances that had ended by then may have ended with it. */
  readonly reachedAt: Date | undefined;
  /** Why it is unreachable, `` when it is reachable. */
  readonly error: string;
}

/** Dependencies and listeners of a monitor. */
export interface MonitorOptions {
  readonly type: Pick<ModuleType, 'name' | 'version' | 'watch' | 'ping' | 'appeared'>;
  readonly log: Log;
  readonly now: () => Date;
  /** The engine became reachable or unreachable; events in between are lost. */
  readonly onStatus: (status: EngineStatus) => void;
  /** The instance of this name changed. */
  readonly onInstance: (name: string) => void;
  /** The instance has just ended; `onInstance` follows. */
  readonly onEnd?: (end: InstanceEnd) => void;
  /** How often an engine is asked for a response, and for how long it may take, for tests. */
  readonly pings?: typeof pings;
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
    const end = new AbortController();
    using joined = new JoinedSignal([signal, end.signal]);
    const pinging = this.#ping(joined.signal);
    try {
      for await (const changed of events) onInstance(changed);
    } finally {
      end.abort();
      await pinging;
    }
  }

  /**
   * Finds out whether the engine hangs, which the stream of events does not show; the stream stays open, and goes on with
   * the engine: nothing of what happens meanwhile is lost. Never rejects.
   */
  async #ping(signal: AbortSignal): Promise<void> {
    const { everyMs, limitMs } = this.#options.pings ?? pings;
    let missed = 0;
    for (;;) {
      if (missed === 0) await sleep(everyMs, signal);
      if (signal.aborted) return;
      // one that hangs is to be asked rarely, and noticed at once when it responds
      using limited = JoinedSignal.within(missed < missedPings ? limitMs : everyMs, signal);
      try {
        await this.#options.type.ping(limited.signal);
        if (missed >= missedPings) this.#responds();
        missed = 0;
      } catch (error) {
        if (!limited.signal.aborted) await once(limited.signal, 'abort');
        if (!signal.aborted && ++missed === missedPings) this.#lost(error);
      }
    }
  }

  /** The engine hung, and lost nothing. */
  #responds(): void {
    const { log, onStatus } = this.#options;
    this.#status = { ...this.#status, reachable: true, steady: false, error: '' };
    const { name, version } = this.#status;
    log.info('container engine responds again', { name, version });
    onStatus(this.#status);
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
