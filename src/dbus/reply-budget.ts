import type { ReplyLimits } from './call-limits.ts';

interface Window {
  readonly endsAt: number;
  bytes: number;
}

/**
 * How much each uid was sent in large replies lately. dbus-daemon stops reading from a service when too much of what
 * the service said waits for clients that do not read; no uid alone may bring that about quickly.
 */
export class ReplyBudget {
  readonly #limits: ReplyLimits;
  readonly #windows = new Map<number, Window>();

  constructor(limits: ReplyLimits) {
    this.#limits = limits;
  }

  isLarge(bytes: number): boolean {
    return bytes > this.#limits.largeBytes;
  }

  /** When the uid may be sent large replies again, by the clock of `now`; undefined when it may now. */
  blockedUntil(uid: number, now: number): number | undefined {
    const window = this.#windows.get(uid);
    if (window === undefined) return undefined;
    if (window.endsAt <= now) {
      this.#windows.delete(uid);
      return undefined;
    }
    return window.bytes < this.#limits.bytes ? undefined : window.endsAt;
  }

  /** Counts a large reply, or one that is expected to be; negative bytes take back what was expected. */
  count(uid: number, bytes: number, now: number): void {
    let window = this.#windows.get(uid);
    if (window === undefined || window.endsAt <= now) {
      if (bytes <= 0) return;
      window = { endsAt: now + this.#limits.perMs, bytes: 0 };
      this.#windows.set(uid, window);
    }
    window.bytes += bytes;
  }
}
