const firstMs = 10_000;
const longestMs = 300_000;
const healthyMs = 600_000;

/**
 * Exponential backoff: 10 s after the first failure, doubled with each further one, 300 s at most.
 * It starts over after a run of ten minutes, which counts as healthy.
 */
export class Backoff {
  #failures = 0;
  #until = 0;
  #delayMs = 0;

  /** The end of the current delay, undefined when there is none. */
  until(now: Date): Date | undefined {
    // a clock that was set back does not prolong the delay
    this.#until = Math.min(this.#until, now.getTime() + this.#delayMs);
    return this.#until > now.getTime() ? new Date(this.#until) : undefined;
  }

  /** Records a failed attempt, or the end of a container that ran for `ranMs`. */
  failed(now: Date, ranMs = 0): void {
    if (ranMs >= healthyMs) this.#failures = 0;
    this.#delayMs = Math.min(firstMs * 2 ** Math.min(this.#failures, 10), longestMs);
    this.#until = now.getTime() + this.#delayMs;
    this.#failures++;
  }

  /** Resets the delay: the user asked for it, or it works. */
  reset(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
