const firstMs = 10_000;
const longestMs = 300_000;
const healthyMs = 600_000;

/**
 * When to try again: 10 s after the first failure, twice as long after each further one, 300 s at most.
 * What has run for ten minutes is healthy, and its next failure is a first one again.
 */
export class Backoff {
  #failures = 0;
  #until = 0;
  #delayMs = 0;

  /** Until when nothing is to be tried, undefined when it may be tried now. */
  until(now: Date): Date | undefined {
    // a clock that was set back makes no wait longer
    this.#until = Math.min(this.#until, now.getTime() + this.#delayMs);
    return this.#until > now.getTime() ? new Date(this.#until) : undefined;
  }

  /** Notes that an attempt failed, or that what was started has ended after it ran for `ranMs`. */
  failed(now: Date, ranMs = 0): void {
    if (ranMs >= healthyMs) this.#failures = 0;
    this.#delayMs = Math.min(firstMs * 2 ** Math.min(this.#failures, 10), longestMs);
    this.#until = now.getTime() + this.#delayMs;
    this.#failures++;
  }

  /** Forgets all failures: somebody asked for it, or it works. */
  reset(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
