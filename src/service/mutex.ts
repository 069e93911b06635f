/**
 * Runs one task at a time, in the order of the calls. The failure of a task reaches its own caller only.
 * A task must not wait for another task of the same mutex.
 */
export class Mutex {
  /** Starts of the waiting tasks, in order. */
  readonly #waiting = new Set<() => void>();
  #isHeld = false;

  /** Whether a task runs or waits. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /**
   * Returns the outcome of the task. A signal that aborts before the task starts rejects with its reason, and the task
   * never runs.
   */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#acquire(signal);
    try {
      // it may have been aborted after the mutex was passed to it
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

  /** Passes the mutex to the next task directly, so that a new one queues behind it. */
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

/** A mutex for each key: tasks of one key run one at a time, those of different keys concurrently. */
export class KeyedMutex<K> {
  readonly #entries = new Map<K, { readonly mutex: Mutex; tasks: number }>();

  /** How many keys have running or waiting tasks. */
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
