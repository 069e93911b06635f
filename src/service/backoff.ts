/** The delays of a back-off. */
export interface BackoffOptions {
  /** The shortest delay: bounds how often retries follow each other directly. */
  readonly minMs: number;
  /** The longest first delay; the bound doubles with each further one. */
  readonly firstMs: number;
  /** The longest delay. */
  readonly maxMs: number;
  /** After running for this long a failure counts as the first one again. */
  readonly healthyMs?: number;
}

/** Details of a failure. */
export interface Failure {
  /** How long the operation ran before it failed. */
  readonly lastedMs?: number | undefined;
  /** The delay that the other side requested. */
  readonly retryAfterMs?: number | undefined;
}

/** Random extra share of a requested delay: the other side may have sent many clients the same. */
const retryAfterSpread = 1 / 5;

/**
 * When to retry: after a random delay between `minMs` and a bound that doubles with each failure ("full
 * jitter"), so that the devices of a fleet, which lose a service together, do not return to it together.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;
  #retryAt = 0;
  #delayMs = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  /** When to retry; undefined when that time has passed or nothing failed. */
  retryAt(now: Date): Date | undefined {
    // a clock that was set back does not prolong the delay
    this.#retryAt = Math.min(this.#retryAt, now.getTime() + this.#delayMs);
    return this.#retryAt > now.getTime() ? new Date(this.#retryAt) : undefined;
  }

  /** Records a failure; returns the delay, never less than the requested one. */
  failed(now: Date, { lastedMs = 0, retryAfterMs = 0 }: Failure = {}): number {
    const { healthyMs } = this.#options;
    if (healthyMs !== undefined && lastedMs >= healthyMs) this.#failures = 0;
    const share = this.#random();
    const extraMs = Math.max(this.#jitteredMs(share), share * retryAfterMs * retryAfterSpread);
    this.#delayMs = Math.round(retryAfterMs + extraMs);
    this.#retryAt = now.getTime() + this.#delayMs;
    this.#failures++;
    return this.#delayMs;
  }

  /** Resets the delays: an attempt succeeded, or the cause of the failures may be fixed. */
  reset(): void {
    this.#failures = 0;
    this.#retryAt = 0;
  }

  #jitteredMs(share: number): number {
    const { minMs, firstMs, maxMs } = this.#options;
    const boundMs = Math.min(firstMs * 2 ** this.#failures, maxMs);
    return minMs + share * (boundMs - minMs);
  }
}
