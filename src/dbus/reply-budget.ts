import type { ReplyLimits } from './call-limits.ts';

interface Window {
  readonly endsAt: number;
  largeBytes: number;
  bytes: number;
}

/**
 * How much each uid was sent lately. dbus-daemon stops reading from a service when 127 MiB of what the service said
 * wait for clients that do not read; no uid alone may bring that about quickly.
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

  /** Whether the uid must wait, by the clock of `now`, for a reply that is expected to have so many bytes. */
  isSpent(uid: number, expectedBytes: number, now: number): boolean {
    const window = this.#windows.get(uid);
    if (window === undefined) return false;
    if (window.endsAt <= now) {
      this.#windows.delete(uid);
      return false;
    }
    const { largeTotalBytes, totalBytes } = this.#limits;
    if (window.bytes >= totalBytes) return true;
    return this.isLarge(expectedBytes) && window.largeBytes >= largeTotalBytes;
  }

  /** Counts a reply that had so many bytes, and was counted before as having `expectedBytes`. */
  count(uid: number, bytes: number, { expectedBytes = 0, now }: CountOptions): void {
    let window = this.#windows.get(uid);
    if (window === undefined || window.endsAt <= now) {
      window = { endsAt: now + this.#limits.perMs, largeBytes: 0, bytes: 0 };
      this.#windows.set(uid, window);
      expectedBytes = 0; // that was in another window
    }
    window.bytes += bytes - expectedBytes;
    window.largeBytes += this.#largePart(bytes) - this.#largePart(expectedBytes);
  }

  #largePart(bytes: number): number {
    return this.isLarge(bytes) ? bytes : 0;
  }
}

interface CountOptions {
  readonly expectedBytes?: number;
  readonly now: number;
}
