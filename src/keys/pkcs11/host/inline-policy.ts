/** An operation on a thread that is faster than this is tried inline. */
const tryBelowMs = 1;
/** The longest duration that counts as fast inline: switching to a thread and back takes about 0.1 ms. */
const inlineBelowMs = 0.25;
/** A single operation that blocks the process this long ends inline mode. */
const stallMs = 50;
/** The surplus of slow operations over fast ones that ends inline mode: a busy machine slows single ones. */
const maxSlowness = 4;
const firstPause = 64;
const longestPause = 65_536;

/**
 * Decides by its speed whether operations with a key run inline. By default they run on a thread, because a
 * hardware token takes milliseconds or longer and must not block the process. A software token finishes before a
 * thread has started, which would be half of the cost of a signature. So a fast key runs inline until it is slow.
 */
export class InlinePolicy {
  readonly #clock: () => number;
  #isInline = false;
  #slowness = 0;
  #pause = firstPause;
  #untilTry = 0;

  /** The clock is monotonic, in milliseconds. */
  constructor(clock = () => performance.now()) {
    this.#clock = clock;
  }

  /** Whether the next operation runs inline. */
  get isInline(): boolean {
    return this.#isInline;
  }

  /** Runs an operation inline. */
  time<T>(operation: () => T): T {
    const startedAt = this.#clock();
    const result = operation();
    this.#watch(this.#clock() - startedAt);
    return result;
  }

  /** Runs an operation on a thread. */
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
    if (this.#slowness < maxSlowness && durationMs < stallMs) return;
    this.#isInline = false;
    this.#slowness = 0;
    this.#untilTry = this.#pause;
    this.#pause = Math.min(this.#pause * 2, longestPause);
  }
}
