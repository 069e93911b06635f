/** The clock is read again this often, because it can be set. */
const checkMs = 60_000;

/** Begins something when it is due, and again as long as it stays due. */
export class DueTimer {
  readonly #due: () => Date | undefined;
  readonly #begin: () => void;
  readonly #now: () => Date;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    /** Undefined when it never is. */
    readonly due: () => Date | undefined;
    readonly begin: () => void;
    readonly now: () => Date;
  }) {
    this.#due = options.due;
    this.#begin = options.begin;
    this.#now = options.now;
  }

  /** Looks whether it is due. */
  check(): void {
    this.stop();
    const due = this.#due();
    if (due === undefined) return;
    const waitMs = due.getTime() - this.#now().getTime();
    if (waitMs <= 0) this.#begin();
    const nextMs = waitMs <= 0 ? checkMs : Math.min(waitMs, checkMs);
    this.#timer = setTimeout(() => this.check(), nextMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
