import { ServiceError } from '../errors.ts';

/** What a joined read is made of. */
export interface JoinedReadOptions<T> {
  /** The read; its signal aborts when nobody waits for it any more. */
  readonly read: (signal: AbortSignal) => Promise<T>;
  readonly now: () => Date;
  readonly maxAgeMs?: number;
}

interface Reading<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
  /** When it ended, undefined while it is under way. */
  endedMs: number | undefined;
}

/**
 * A read that costs more than it answers: whoever asks while it is under way joins it, and its result, a
 * failure too, serves everybody for a second.
 */
export class JoinedRead<T> {
  readonly #options: JoinedReadOptions<T>;
  #last: Reading<T> | undefined;

  constructor(options: JoinedReadOptions<T>) {
    this.#options = options;
  }

  /** The result of the read; Cancelled when the signal aborts first. */
  async get(signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw cancelled();
    const reading = this.#current() ?? this.#begin();
    let leave = (): void => {};
    const gone = new Promise<never>((_resolve, reject) => {
      leave = () => reject(cancelled());
    });
    signal.addEventListener('abort', leave, { once: true });
    reading.waiting++;
    try {
      return await Promise.race([reading.result, gone]);
    } finally {
      signal.removeEventListener('abort', leave);
      this.#left(reading);
    }
  }

  /** Reads anew for whoever asks next: what was read may have changed. */
  clear(): void {
    this.#last = undefined;
  }

  #current(): Reading<T> | undefined {
    const { now, maxAgeMs = 1_000 } = this.#options;
    const last = this.#last;
    if (last?.endedMs === undefined) return last;
    const ageMs = now().getTime() - last.endedMs;
    // of a clock that was set back, nobody knows how old the result is
    return ageMs >= 0 && ageMs < maxAgeMs ? last : undefined;
  }

  #begin(): Reading<T> {
    const { read, now } = this.#options;
    const abort = new AbortController();
    const result = read(abort.signal).finally(() => {
      reading.endedMs = now().getTime();
    });
    result.catch(() => {}); // each who waits is told
    const reading: Reading<T> = { result, abort, waiting: 0, endedMs: undefined };
    this.#last = reading;
    return reading;
  }

  #left(reading: Reading<T>): void {
    reading.waiting--;
    if (reading.waiting > 0 || reading.endedMs !== undefined) return;
    if (this.#last === reading) this.#last = undefined;
    reading.abort.abort();
  }
}

function cancelled(): ServiceError {
  return new ServiceError('Cancelled', 'the caller left before the answer came');
}
