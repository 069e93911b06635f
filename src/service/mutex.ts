/**
 * Runs one task at a time, in the order in which they were asked for. The failure of a task is that of its caller
 * alone. A task must not wait for one that it asks the same mutex for.
 */
export class Mutex {
  /** What starts each task that waits; the first one is next. */
  readonly #waiting = new Set<() => void>();
  #isHeld = false;

  /** The outcome of the task. A signal that is aborted before its turn rejects with its reason, and it never runs. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#acquire(signal);
    try {
      // it may have been aborted since its turn was granted
      signal?.throwIfAborted();
      return await task();
    } finally {
      this.#release();
    }
  }

  async #acquire(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#isHeld) {
      this.#isHeld = true;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(start);
        reject(signal?.reason);
      };
      this.#waiting.add(start);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  /** Hands over to the next task without a gap: one that comes now is behind it. */
  #release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#isHeld = false;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

/** A mutex for each key: tasks of one key run one at a time, those of different keys side by side. */
export class KeyedMutex<K> {
  readonly #entries = new Map<K, { readonly mutex: Mutex; tasks: number }>();

  /** How many keys have tasks that run or wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** As `Mutex.run`, for one key. */
  async run<T>(key: K, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const entry = this.#entries.get(key) ?? { mutex: new Mutex(), tasks: 0 };
    this.#entries.set(key, entry);
    entry.tasks++;
    try {
      return await entry.mutex.run(task, signal);
    } finally {
      entry.tasks--;
      if (entry.tasks === 0) this.#entries.delete(key);
    }
  }
}
