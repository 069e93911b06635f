/** Continues in a later iteration of the event loop, after it has accepted a connection if one was queued. */
type Defer = (task: () => void) => void;

/**
 * The queue of connections that the kernel has accepted and this process has not. While it is never empty, a connection
 * may be as old as the first one: the event loop is busy, or is flooded with connections.
 */
export class Backlog {
  readonly #now: () => number;
  readonly #defer: Defer;
  #since: number | undefined;
  #accepted = 0;

  constructor(now: () => number, defer: Defer = setImmediate) {
    this.#now = now;
    this.#defer = defer;
  }

  /** The earliest time at which the connection that has just been accepted can have been made. */
  accepted(): number {
    this.#accepted++;
    if (this.#since === undefined) {
      this.#since = this.#now();
      // first to the end of this iteration
      this.#defer(() => this.#watch());
    }
    return this.#since;
  }

  /** The queue was empty when an iteration accepts none. */
  #watch(): void {
    const before = this.#accepted;
    this.#defer(() => {
      if (this.#accepted === before) this.#since = undefined;
      else this.#watch();
    });
  }
}
