/** When a service may exit until the next call activates it. */
export interface IdleOptions {
  /** 0 disables the idle exit. */
  readonly idleMs: number;
  /** Whether calls or operations are in progress. */
  readonly isBusy: () => boolean;
  /** When the last call arrived or ended, by `performance.now()`. */
  readonly lastActivityAt: () => number;
  /** When the next scheduled task of the service is due. */
  readonly due: () => Date | undefined;
  readonly now: () => Date;
  /** Called once. */
  readonly onIdle: () => void;
}

/** A service with a task due this soon does not exit. */
const soonMs = 600_000;
const minPauseMs = 5;

/** Detects when a service has been idle for long enough. */
export class IdleWatch implements Disposable {
  readonly #options: IdleOptions;
  /** Start of the idle time, unless a call arrived or ended later. */
  #busyUntil = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #idleMs = 0;
  #disposed = false;

  constructor(options: IdleOptions) {
    this.#options = options;
    this.idleMs = options.idleMs;
  }

  /** Restarts the idle time with another limit; 0 disables the idle exit. */
  set idleMs(value: number) {
    this.#idleMs = value;
    this.#busyUntil = performance.now();
    clearTimeout(this.#timer);
    if (value > 0 && !this.#disposed) this.#schedule(value);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  #schedule(inMs: number): void {
    this.#timer = setTimeout(() => this.#check(), Math.max(inMs, minPauseMs));
  }

  #check(): void {
    const { isBusy, lastActivityAt, due, now, onIdle } = this.#options;
    const idleMs = this.#idleMs;
    if (isBusy()) this.#busyUntil = performance.now();
    const left = Math.max(this.#busyUntil, lastActivityAt()) + idleMs - performance.now();
    if (left > 0) {
      this.#schedule(left);
      return;
    }
    const next = due();
    if (next !== undefined && next.getTime() - now().getTime() <= soonMs) {
      this.#schedule(idleMs);
      return;
    }
    onIdle();
  }
}
