/** An operation that came back from its thread this soon is tried without one. */
const tryBelowMs = 1;
/** What an operation may take without a thread: the way there and back costs about 0.1 ms. */
const inlineBelowMs = 0.25;
/** An operation that blocks everything else for so long is the last one. */
const stallMs = 50;
/** So many more slow operations than fast ones; single ones are slow because the machine is busy. */
const slowEnough = 4;
const firstPause = 64;
const longestPause = 65_536;

/**
 * How fast a token works with a key. Tokens work on threads, because a real one takes milliseconds or longer and
 * must not hold up the process; one in software is done before a thread has even begun, and half of the cost of
 * a signature would be the thread. So a key that proves fast works at once, until it is slow again.
 */
export class InlinePolicy {
  readonly #clock: () => number;
  #isInline = false;
  #slowness = 0;
  #pause = firstPause;
  #untilTry = 0;

  /** The clock tells milliseconds that never go back. */
  constructor(clock = () => performance.now()) {
    this.#clock = clock;
  }

  /** Whether the next operation runs at once. */
  get isInline(): boolean {
    return this.#isInline;
  }

  /** Runs an operation at once. */
  time<T>(operation: () => T): T {
    const startedAt = this.#clock();
    const result = operation();
    this.#watch(this.#clock() - startedAt);
    return result;
  }

  /** Runs an operation on its thread. */
  async timeAsync<T>(operation: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock();
    const result = await operation();
    const isFast = this.#clock() - startedAt < tryBelowMs;
    if (--this.#untilTry < 0 && isFast) this.#isInline = true;
    return result;
  }

  #watch(durationMs: number): void {
    const isSlow = durationMs > inlineBelowMs;
    this.#slowness = Math.max(0, this.#slowness + (isSlow ? 1 : -1));
    if (this.#slowness < slowEnough && durationMs < stallMs) return;
    this.#isInline = false;
    this.#slowness = 0;
    this.#untilTry = this.#pause;
    this.#pause = Math.min(this.#pause * 2, longestPause);
  }
}
