/** When a service may end until it is called again. */
export interface IdleOptions {
  /** 0 is never. */
  readonly idleMs: number;
  /** Calls or operations under way. */
  readonly isBusy: () => boolean;
  /** When the last call came or ended, by `performance.now()`. */
  readonly lastActivityAt: () => number;
  /** When the service has to do something by itself. */
  readonly due: () => Date | undefined;
  readonly now: () => Date;
  /** Told once. */
  readonly onIdle: () => void;
}

/** A service that has something to do this soon stays. */
const soonMs = 600_000;
const minPauseMs = 5;

/** Notices when a service has had nothing to do for a while. */
export class IdleWatch implements Disposable {
  readonly #options: IdleOptions;
  /** From when on idle time counts, unless a call came or ended later. */
  #busyUntil = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #idleMs = 0;
  #disposed = false;

  constructor(options: IdleOptions) {
    this.#options = options;
    this.idleMs = options.idleMs;
  }

  /** Counts anew with another time; 0 is never. */
  set idleMs(value: number) {
    this.#idleMs = value;
    this.#busyUntil = performance.now();
    clearTimeout(this.#timer);
    if (value > 0 && !this.#disposed) this.#look(value);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  #look(inMs: number): void {
    this.#timer = setTimeout(() => this.#check(), Math.max(inMs, minPauseMs));
  }

  #check(): void {
    const { isBusy, lastActivityAt, due, now, onIdle } = this.#options;
    const idleMs = this.#idleMs;
    if (isBusy()) this.#busyUntil = performance.now();
    const left = Math.max(this.#busyUntil, lastActivityAt()) + idleMs - performance.now();
    if (left > 0) {
      this.#look(left);
      return;
    }
    const next = due();
    if (next !== undefined && next.getTime() - now().getTime() <= soonMs) {
      this.#look(idleMs);
      return;
    }
    onIdle();
  }
}
