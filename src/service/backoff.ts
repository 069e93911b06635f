/** How long a back-off waits. */
export interface BackoffOptions {
  /** No wait is shorter: it bounds how often something is tried in a row. */
  readonly leastMs: number;
  /** The first wait is no longer, and each further one may be twice as long. */
  readonly firstMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
  /** What lasted for so long before it failed has worked: its failure is a first one again. */
  readonly healthyMs?: number;
}

/** What is known about a failure. */
export interface Failure {
  /** How long it lasted what has failed now. */
  readonly lastedMs?: number | undefined;
  /** For how long the other side asked to be left alone. */
  readonly askedMs?: number | undefined;
}

/** Of the time that the other side asked for, so much more at most: it may have asked many for the same. */
const askedSpread = 1 / 5;

/**
 * When to retry what failed: after a time anywhere between `leastMs` and a bound that doubles with each failure ("full
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

  /** When to retry, undefined when that time has come or nothing failed. */
  retryAt(now: Date): Date | undefined {
    // a clock that was set back makes no wait longer
    this.#retryAt = Math.min(this.#retryAt, now.getTime() + this.#delayMs);
    return this.#retryAt > now.getTime() ? new Date(this.#retryAt) : undefined;
  }

  /** Notes a failure; returns how long to wait, never less than was asked for. */
  failed(now: Date, { lastedMs = 0, askedMs = 0 }: Failure = {}): number {
    const { healthyMs } = this.#options;
    if (healthyMs !== undefined && lastedMs >= healthyMs) this.#failures = 0;
    const share = this.#random();
    const extraMs = Math.max(this.#jitteredMs(share), share * askedMs * askedSpread);
    this.#delayMs = Math.round(askedMs + extraMs);
    this.#retryAt = now.getTime() + this.#delayMs;
    this.#failures++;
    return this.#delayMs;
  }

  /** Forgets all failures: it works, or their cause may have gone. */
  reset(): void {
    this.#failures = 0;
    this.#retryAt = 0;
  }

  #jitteredMs(share: number): number {
    const { leastMs, firstMs, maxMs } = this.#options;
    const boundMs = Math.min(firstMs * 2 ** this.#failures, maxMs);
    return leastMs + share * (boundMs - leastMs);
  }
}
