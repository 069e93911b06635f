import { Backoff } from '../../../service/backoff.ts';

const delays = { minMs: 0, healthyMs: 600_000, firstMs: 10_000, maxMs: 300_000 };

/**
 * When the changed container of a module is made again: the first at once, the next after 10 s, doubled each time, 300 s at
 * most. Another client may change it again and again.
 */
export class Repairs {
  readonly #now: () => Date;
  readonly #backoff = new Backoff(delays, () => 1);
  #container: string | undefined;
  #due = new Date(0);
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Whether this container is already known as changed. */
  has(container: string): boolean {
    return this.#container === container;
  }

  /** When the container is to be made again, undefined when it is now. */
  due(container: string): Date | undefined {
    const now = this.#now();
    if (!this.has(container)) {
      this.#container = container;
      this.#due = this.#backoff.retryAt(now) ?? now;
      this.#backoff.failed(this.#due, { lastedMs: now.getTime() - this.#lastMs });
      this.#lastMs = this.#due.getTime();
    }
    return this.#due > now ? this.#due : undefined;
  }
}
