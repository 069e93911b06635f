import { ServiceError } from '../errors.ts';

/** How long a result is shared, and how many are cached. */
export interface SharedReadsOptions {
  readonly elapsedMs?: () => number;
  readonly sharedMs?: number;
  readonly most?: number;
}

/** A read; its signal aborts when no caller waits for it any more. */
export type Read<T> = (signal: AbortSignal) => Promise<T>;

interface Reading<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
  /** Undefined while it is in progress. */
  endedAt: number | undefined;
}

/**
 * Reads that any client may request and that cost more than their result: a call while one is in progress joins it,
 * and its result, a failure too, is cached for a second. A change must evict the results that it affects.
 */
export class SharedReads<T> {
  readonly #elapsedMs: () => number;
  readonly #sharedMs: number;
  readonly #most: number;
  readonly #readings = new Map<string, Reading<T>>();

  constructor({
    elapsedMs = () => performance.now(),
    sharedMs = 1000,
    most = 256,
  }: SharedReadsOptions = {}) {
    this.#elapsedMs = elapsedMs;
    this.#sharedMs = sharedMs;
    this.#most = most;
  }

  /**
   * The result for this key, read now unless it was read within the last second; Cancelled when the signal aborts
   * first.
   */
  async get(key: string, read: Read<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) throw cancelled();
    const known = this.#readings.get(key);
    const reading = known !== undefined && this.#isFresh(known) ? known : this.#begin(key, read);
    if (signal === undefined) {
      reading.waiting = Number.POSITIVE_INFINITY; // a caller without a signal waits to the end
      return reading.result;
    }
    return this.#wait(key, reading, signal);
  }

  /** Evicts a result, so that the next call starts a new read; a read in progress serves earlier callers only. */
  evict(key: string): void {
    this.#readings.delete(key);
  }

  /** As `evict`, for all keys. */
  evictAll(): void {
    this.#readings.clear();
  }

  #begin(key: string, read: Read<T>): Reading<T> {
    const abort = new AbortController();
    const result = read(abort.signal);
    const begun: Reading<T> = { result, abort, waiting: 0, endedAt: undefined };
    const end = (): void => {
      begun.endedAt = this.#elapsedMs();
    };
    result.then(end, end);
    this.#readings.delete(key);
    this.#readings.set(key, begun);
    for (const oldest of this.#readings.keys()) {
      if (this.#readings.size <= this.#most) break;
      this.#readings.delete(oldest);
    }
    return begun;
  }

  async #wait(key: string, reading: Reading<T>, signal: AbortSignal): Promise<T> {
    let leave = (): void => undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(cancelled());
    });
    signal.addEventListener('abort', leave, { once: true });
    reading.waiting++;
    try {
      return await Promise.race([reading.result, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      reading.waiting--;
      if (reading.waiting === 0 && reading.endedAt === undefined) this.#abandon(key, reading);
    }
  }

  #abandon(key: string, reading: Reading<T>): void {
    if (this.#readings.get(key) === reading) this.#readings.delete(key);
    reading.abort.abort();
  }

  #isFresh({ endedAt }: Reading<T>): boolean {
    return endedAt === undefined || this.#elapsedMs() - endedAt < this.#sharedMs;
  }
}

function cancelled(): ServiceError {
  return new ServiceError('Cancelled', 'the caller left before the reply');
}
