/** So many repairs follow each other without a delay; one more after each pause. */
const most = 20;
const pauseMs = 30_000;

/**
 * When the changed container of a module is made again: at once, unless another client changes it again and again: then
 * every 30 s.
 */
export class Repairs {
  readonly #now: () => Date;
  #container: string | undefined;
  /** When the next one has no delay; earlier by a pause for each further one that has none either. */
  #freeMs = Number.NEGATIVE_INFINITY;
  #dueMs = 0;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Whether this container is already known as changed. */
  has(container: string): boolean {
    return this.#container === container;
  }

  /** When the container is to be made again, undefined when it is now. */
  due(container: string): Date | undefined {
    const nowMs = this.#now().getTime();
    if (!this.has(container)) {
      this.#container = container;
      const freeMs = Math.max(this.#freeMs, nowMs - (most - 1) * pauseMs);
      this.#dueMs = Math.max(nowMs, freeMs);
      this.#freeMs = freeMs + pauseMs;
    }
    // a clock that was set back does not prolong the wait
    this.#dueMs = Math.min(this.#dueMs, nowMs + pauseMs);
    this.#freeMs = Math.min(this.#freeMs, this.#dueMs + pauseMs);
    return this.#dueMs > nowMs ? new Date(this.#dueMs) : undefined;
  }
}
