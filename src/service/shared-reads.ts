/** How long an answer is shared, and how many are kept. */
export interface SharedReadsOptions {
  readonly elapsedMs?: () => number;
  readonly sharedMs?: number;
  readonly most?: number;
}

interface Read<T> {
  readonly answer: Promise<T>;
  /** Undefined while it is under way. */
  endedAt: number | undefined;
}

/**
 * Reads that anybody may ask for and that cost more than their answer: whoever asks while one is under way
 * joins it, and its outcome, a failure too, is the answer for a second. A change must `forget` what it changes.
 */
export class SharedReads<T> {
  readonly #elapsedMs: () => number;
  readonly #sharedMs: number;
  readonly #most: number;
  readonly #reads = new Map<string, Read<T>>();

  constructor({
    elapsedMs = () => performance.now(),
    sharedMs = 1000,
    most = 256,
  }: SharedReadsOptions = {}) {
    this.#elapsedMs = elapsedMs;
    this.#sharedMs = sharedMs;
    this.#most = most;
  }

  /** The answer under this key, read now unless it was within the last second. */
  get(key: string, read: () => Promise<T>): Promise<T> {
    const known = this.#reads.get(key);
    if (known !== undefined && this.#counts(known)) return known.answer;
    return this.#begin(key, read);
  }

  /** Makes the next read a new one; of what is under way only those hear who asked before. */
  forget(key: string): void {
    this.#reads.delete(key);
  }

  /** As `forget`, for all keys. */
  forgetAll(): void {
    this.#reads.clear();
  }

  #begin(key: string, read: () => Promise<T>): Promise<T> {
    const begun: Read<T> = { answer: read(), endedAt: undefined };
    const end = () => void (begun.endedAt = this.#elapsedMs());
    begun.answer.then(end, end);
    this.#reads.delete(key);
    this.#reads.set(key, begun);
    for (const oldest of this.#reads.keys()) {
      if (this.#reads.size <= this.#most) break;
      this.#reads.delete(oldest);
    }
    return begun.answer;
  }

  #counts({ endedAt }: Read<T>): boolean {
    return endedAt === undefined || this.#elapsedMs() - endedAt < this.#sharedMs;
  }
}
