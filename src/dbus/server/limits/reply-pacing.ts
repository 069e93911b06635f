import type { ServiceError } from '../../../errors.ts';
import type { IncomingCall } from '../call.ts';
import type { ReplyLimits } from './call-limits.ts';
import type { UidCalls } from './uid-calls.ts';

/** More are held only while they all count. */
const maxWindows = 1024;

interface Window {
  readonly endsAt: number;
  largeBytes: number;
  bytes: number;
}

/** A large reply that was counted before it was made, so that many at once do not exceed the limit. */
interface Expected {
  readonly window: Window;
  readonly bytes: number;
}

/**
 * Paces what each uid that is not trusted is sent. dbus-daemon stops reading from a service when 127 MiB of what the
 * service said wait for clients that do not read; no uid alone may bring that about quickly.
 */
export class ReplyPacing {
  readonly #limits: ReplyLimits;
  readonly #expectedBytes: (call: IncomingCall) => number;
  readonly #now: () => number;
  readonly #windows = new Map<number, Window>();
  readonly #expected = new WeakMap<IncomingCall, Expected>();

  /** `expectedBytes`: how large the reply of a call may be, as far as is known before it is decoded. */
  constructor(
    limits: ReplyLimits,
    expectedBytes: (call: IncomingCall) => number,
    now: () => number,
  ) {
    this.#limits = limits;
    this.#expectedBytes = expectedBytes;
    this.#now = now;
  }

  /** Whether a call waits because its uid was sent too much; small replies wait only when that was very much. */
  isBlocked(calls: UidCalls, call: IncomingCall): boolean {
    const window = this.#currentOf(calls);
    if (window === undefined) return false;
    if (window.bytes >= this.#limits.totalBytes) return true;
    return (
      window.largeBytes >= this.#limits.largeTotalBytes && this.#isLarge(this.#expectedBytes(call))
    );
  }

  /** Whether the uid was sent so much that not even refusals are sent. */
  isSpent(calls: UidCalls): boolean {
    const window = this.#currentOf(calls);
    return window !== undefined && window.bytes >= this.#limits.totalBytes;
  }

  /** Counts the reply of a call that begins, when it will probably be large. */
  expect(calls: UidCalls, call: IncomingCall): void {
    const bytes = calls.isTrusted ? 0 : this.#expectedBytes(call);
    if (!this.#isLarge(bytes)) return;
    this.#expected.set(call, { window: this.#add(calls.uid, bytes), bytes });
  }

  /** Counts the reply that a call was sent, in place of the one that was expected. */
  settle(calls: UidCalls, call: IncomingCall, bytes: number): void {
    if (calls.isTrusted) return;
    const expected = this.#expected.get(call);
    if (expected !== undefined) {
      expected.window.bytes -= expected.bytes;
      expected.window.largeBytes -= expected.bytes;
    }
    this.#add(calls.uid, bytes);
  }

  /** Counts what a uid was sent. */
  count(uid: number, bytes: number): void {
    this.#add(uid, bytes);
  }

  /** Keeps a refusal for later when the uid was sent too much; false when it is to be sent now. */
  postpone(calls: UidCalls, call: IncomingCall, error: ServiceError): boolean {
    if (!this.isSpent(calls)) return false;
    const { wantsReply } = call.message;
    call.message.release();
    if (wantsReply && calls.refused.length < calls.limits.queued) calls.refused.push([call, error]);
    return true;
  }

  /** The refusals of a uid that may be sent now. */
  takeRefusals(calls: UidCalls): UidCalls['refused'] {
    if (calls.refused.length === 0 || this.isSpent(calls)) return [];
    const refused = calls.refused;
    calls.refused = [];
    return refused;
  }

  /** Evicts the windows that have ended, so that uids that call once and never again take no memory. */
  #evict(now: number): void {
    for (const [uid, { endsAt }] of this.#windows) if (endsAt <= now) this.#windows.delete(uid);
  }

  #add(uid: number, bytes: number): Window {
    const now = this.#now();
    let window = this.#windows.get(uid);
    if (window === undefined || window.endsAt <= now) {
      if (this.#windows.size >= maxWindows) this.#evict(now);
      window = { endsAt: now + this.#limits.perMs, largeBytes: 0, bytes: 0 };
      this.#windows.set(uid, window);
    }
    window.bytes += bytes;
    if (this.#isLarge(bytes)) window.largeBytes += bytes;
    return window;
  }

  #currentOf({ uid, isTrusted }: UidCalls): Window | undefined {
    if (isTrusted) return undefined;
    const window = this.#windows.get(uid);
    return window !== undefined && window.endsAt > this.#now() ? window : undefined;
  }

  #isLarge(bytes: number): boolean {
    return bytes > this.#limits.largeBytes;
  }
}
