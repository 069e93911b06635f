import type { Calls } from './calls.ts';
import { LostError } from './failures.ts';
import { type PoolOptions, SessionPool } from './session-pool.ts';

/** The pools of a process by their numbers, none of which is used again. */
export class Pools {
  readonly #pools = new Map<number, SessionPool>();
  readonly #onStuck: PoolOptions['onStuck'];
  #last = 0;

  constructor(onStuck: PoolOptions['onStuck']) {
    this.#onStuck = onStuck;
  }

  /** Opens a pool and its first session; returns its number. */
  open(calls: Calls, options: Omit<PoolOptions, 'onStuck'>): number {
    const pool = new SessionPool(calls, { ...options, onStuck: this.#onStuck });
    const first = pool.take();
    if (first === undefined) throw new RangeError('a pool without sessions');
    pool.release(first);
    this.#last++;
    this.#pools.set(this.#last, pool);
    return this.#last;
  }

  /** Throws a LostError when the pool is closed. */
  get(number: number): SessionPool {
    const pool = this.#pools.get(number);
    if (pool === undefined) throw new LostError();
    return pool;
  }

  close(number: number): void {
    this.#pools.get(number)?.close();
    this.#pools.delete(number);
  }

  closeAll(): void {
    for (const number of this.#pools.keys()) this.close(number);
  }
}
