/** How many of them run at once: an engine that makes all at once takes longer, and completes none before the last. */
const most = 4;
/** After which one no longer counts: one that hangs must not hinder the others. */
const countedMs = 10_000;

/** A creation or a start. */
export type LimitedStep = 'create' | 'start';

/** The limits, for tests. */
export interface StartLimits {
  readonly most?: number;
  readonly countedMs?: number;
}

/**
 * Limits how many containers are created and started at once. Those that wait get on in the order in which they came,
 * starts before creations: a container that exists is completed before another one is begun.
 */
export class StartLimiter {
  readonly #most: number;
  readonly #countedMs: number;
  /** How many count as running. */
  #counted = 0;
  /** Those that wait, in order. */
  readonly #waiting = { start: new Set<() => void>(), create: new Set<() => void>() };

  constructor(limits: StartLimits = {}) {
    this.#most = limits.most ?? most;
    this.#countedMs = limits.countedMs ?? countedMs;
  }

  /**
   * Runs a step as soon as the limit allows it. A signal that aborts before that rejects with its reason, and the step
   * never runs. A step must not wait for another one of the same limiter.
   */
  async run<T>(kind: LimitedStep, step: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#acquire(kind, signal);
    let isCounted = true;
    const release = (): void => {
      if (isCounted) this.#release();
      isCounted = false;
    };
    const timer = setTimeout(release, this.#countedMs).unref();
    try {
      // it may have been aborted after it was its turn
      signal.throwIfAborted();
      return await step();
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  async #acquire(kind: LimitedStep, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#counted < this.#most) {
      this.#counted++;
      return;
    }
    const waiting = this.#waiting[kind];
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal.removeEventListener('abort', leave);
        waiting.delete(start);
        resolve();
      };
      const leave = (): void => {
        waiting.delete(start);
        reject(signal.reason);
      };
      waiting.add(start);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Passes the place to the next step directly, so that a new one queues behind it. */
  #release(): void {
    const { start, create } = this.#waiting;
    const [next] = start.size > 0 ? start : create;
    if (next === undefined) this.#counted--;
    else next();
  }
}
