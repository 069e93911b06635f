import type { UidCalls } from './uid-calls.ts';

/**
 * The places in which calls are handled: so many for each uid, and so many for all uids together that are not
 * trusted. Free places go to the uids round-robin; trusted uids have places of their own.
 */
export class Places {
  readonly #most: number;
  #taken = 0;
  readonly #ready = { trusted: new Set<UidCalls>(), others: new Set<UidCalls>() };

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a place is free for a call of this uid. */
  isFree(calls: UidCalls): boolean {
    return calls.active < calls.limits.active && (calls.isTrusted || this.#taken < this.#most);
  }

  take(calls: UidCalls): void {
    calls.active++;
    if (!calls.isTrusted) this.#taken++;
  }

  giveBack(calls: UidCalls): void {
    calls.active--;
    if (!calls.isTrusted) this.#taken--;
  }

  /** Notes whether a uid has calls that wait for a place, and one of its own to give them. */
  update(calls: UidCalls): void {
    const waits = calls.resuming.length > 0 || calls.queue.length > 0;
    const set = this.#setOf(calls);
    if (waits && calls.active < calls.limits.active) set.add(calls);
    else set.delete(calls);
  }

  /** The next uid in round-robin order that can use a place; undefined when there is none. */
  next(): UidCalls | undefined {
    const { trusted, others } = this.#ready;
    const next = first(trusted) ?? (this.#taken < this.#most ? first(others) : undefined);
    if (next !== undefined) this.#setOf(next).delete(next);
    return next;
  }

  #setOf(calls: UidCalls): Set<UidCalls> {
    return this.#ready[calls.isTrusted ? 'trusted' : 'others'];
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}
