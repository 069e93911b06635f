/** The accounts of each uid: its calls, the slots in which they are handled, and the bytes of its replies. */
import { ServiceError } from '../../../errors.ts';
import type { IncomingCall } from '../call.ts';
import type { ReplyLimits, UidLimits } from './call-limits.ts';

/** A call that was parked and waits for a slot again. */
export interface Resuming {
  readonly call: IncomingCall;
  readonly since: number;
  readonly go: () => void;
  readonly reject: (error: ServiceError) => void;
}

/** The calls of one uid: the number of active and parked ones, and the queues. */
export class UidCalls {
  readonly uid: number;
  readonly isTrusted: boolean;
  readonly limits: UidLimits;
  active = 0;
  parked = 0;
  parkedBytes = 0;
  queuedBytes = 0;
  resuming: readonly Resuming[] = [];
  queue: IncomingCall[] = [];
  /** Calls that wait because the uid was sent too much; other calls overtake them. */
  throttled: IncomingCall[] = [];
  /** Rejected calls whose errors are sent later, because the uid was sent too much. */
  refused: (readonly [IncomingCall, ServiceError])[] = [];

  constructor(uid: number, isTrusted: boolean, limits: UidLimits) {
    this.uid = uid;
    this.isTrusted = isTrusted;
    this.limits = limits;
  }

  get queued(): number {
    return this.queue.length + this.throttled.length;
  }

  get isEmpty(): boolean {
    const waiting = this.queued + this.refused.length;
    return this.active === 0 && this.parked === 0 && waiting === 0;
  }

  /** LimitsExceeded when the queue is full. */
  checkQueue(bytes: number): void {
    const { queued, queuedBytes } = this.limits;
    if (this.queued < queued && this.queuedBytes + bytes <= queuedBytes) return;
    const limit = `the limit is ${queued} calls and ${queuedBytes} bytes`;
    throw new ServiceError(
      'LimitsExceeded',
      `uid ${this.uid} has ${this.queued} calls of ${this.queuedBytes} bytes waiting, ${limit}`,
    );
  }

  /** LimitsExceeded when too many calls are parked, or their bytes are too many. */
  checkParked(bytes: number): void {
    const { parked, parkedBytes } = this.limits;
    if (this.parked < parked && this.parkedBytes + bytes <= parkedBytes) return;
    const what = `${this.parked} calls of ${this.parkedBytes} bytes`;
    const why = 'waiting for operations, authorization or other services';
    const limit = `the limit is ${parked} calls and ${parkedBytes} bytes`;
    throw new ServiceError('LimitsExceeded', `uid ${this.uid} has ${what} ${why}, ${limit}`);
  }
}

/**
 * The slots in which calls are handled: a number for each uid, and a number for all uids together that are not
 * trusted. Free slots are assigned to the uids round-robin; each trusted uid has separate slots.
 */
export class Slots {
  readonly #most: number;
  #taken = 0;
  readonly #ready = { trusted: new Set<UidCalls>(), others: new Set<UidCalls>() };

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a slot is free for a call of this uid. */
  isFree(calls: UidCalls): boolean {
    return calls.active < calls.limits.active && (calls.isTrusted || this.#taken < this.#most);
  }

  acquire(calls: UidCalls): void {
    calls.active++;
    if (!calls.isTrusted) this.#taken++;
  }

  release(calls: UidCalls): void {
    calls.active--;
    if (!calls.isTrusted) this.#taken--;
  }

  /** Updates whether a uid has both a waiting call and a free slot. */
  update(calls: UidCalls): void {
    const waits = calls.resuming.length > 0 || calls.queue.length > 0;
    const set = this.#setOf(calls);
    if (waits && calls.active < calls.limits.active) set.add(calls);
    else set.delete(calls);
  }

  /** The next uid in round-robin order that can use a slot; undefined when there is none. */
  next(): UidCalls | undefined {
    const { trusted, others } = this.#ready;
    const next = first(trusted) ?? (this.#taken < this.#most ? first(others) : undefined);
    if (next !== undefined) this.#setOf(next).delete(next);
    return next;
  }

  #setOf(calls: UidCalls): Set<UidCalls> {
    return this.#ready[calls.isTrusted ? 'trusted' : 'others'];
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}

/** Ended windows are evicted when there are more. */
const maxWindows = 1024;

interface Window {
  readonly endsAt: number;
  largeBytes: number;
  bytes: number;
}

/** A large reply that is counted before it exists, so that many concurrent ones do not exceed the limit. */
interface Expected {
  readonly window: Window;
  readonly bytes: number;
}

/**
 * Paces the replies to each uid that is not trusted. dbus-daemon stops reading from a service when 127 MiB of its
 * messages wait for clients that do not read; no single uid may cause that quickly.
 */
export class ReplyPacing {
  readonly #limits: ReplyLimits;
  readonly #expectedBytes: (call: IncomingCall) => number;
  readonly #now: () => number;
  readonly #windows = new Map<number, Window>();
  readonly #expected = new WeakMap<IncomingCall, Expected>();

  /** `expectedBytes` estimates the size of the reply before the call is decoded. */
  constructor(
    limits: ReplyLimits,
    expectedBytes: (call: IncomingCall) => number,
    now: () => number,
  ) {
    this.#limits = limits;
    this.#expectedBytes = expectedBytes;
    this.#now = now;
  }

  /** Whether a call waits because its uid was sent too much; for small replies the limit is higher. */
  isBlocked(calls: UidCalls, call: IncomingCall): boolean {
    const window = this.#currentOf(calls);
    if (window === undefined) return false;
    if (window.bytes >= this.#limits.totalBytes) return true;
    return (
      window.largeBytes >= this.#limits.largeTotalBytes && this.#isLarge(this.#expectedBytes(call))
    );
  }

  /** Whether the uid was sent so much that not even rejections are sent. */
  isSpent(calls: UidCalls): boolean {
    const window = this.#currentOf(calls);
    return window !== undefined && window.bytes >= this.#limits.totalBytes;
  }

  /** Counts the expected reply of a call that begins, when it is large. */
  expect(calls: UidCalls, call: IncomingCall): void {
    const bytes = calls.isTrusted ? 0 : this.#expectedBytes(call);
    if (!this.#isLarge(bytes)) return;
    this.#expected.set(call, { window: this.#add(calls.uid, bytes), bytes });
  }

  /** Counts the actual reply in place of the expected one. */
  settle(calls: UidCalls, call: IncomingCall, bytes: number): void {
    if (calls.isTrusted) return;
    const expected = this.#expected.get(call);
    if (expected !== undefined) {
      expected.window.bytes -= expected.bytes;
      expected.window.largeBytes -= expected.bytes;
    }
    this.#add(calls.uid, bytes);
  }

  /** Counts bytes that a uid was sent. */
  count(uid: number, bytes: number): void {
    this.#add(uid, bytes);
  }

  /** Delays a rejection when the uid was sent too much; false when it is to be sent now. */
  postpone(calls: UidCalls, call: IncomingCall, error: ServiceError): boolean {
    if (!this.isSpent(calls)) return false;
    const { wantsReply } = call.message;
    call.message.release();
    if (wantsReply && calls.refused.length < calls.limits.queued) calls.refused.push([call, error]);
    return true;
  }

  /** Removes and returns the rejections of a uid that may be sent now. */
  takeRefusals(calls: UidCalls): UidCalls['refused'] {
    if (calls.refused.length === 0 || this.isSpent(calls)) return [];
    const refused = calls.refused;
    calls.refused = [];
    return refused;
  }

  /** Evicts the windows that have ended, so that uids that call only once use no memory. */
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
