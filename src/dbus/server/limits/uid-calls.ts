/** What is counted for each uid: its calls, the places in which they are handled, and what it is sent. */
import { ServiceError } from '../../../errors.ts';
import type { IncomingCall } from '../call.ts';
import type { ReplyLimits, UidLimits } from './call-limits.ts';

/** A call that waits for a place again: it was parked, and what it waited for has come. */
export interface Resuming {
  readonly call: IncomingCall;
  readonly since: number;
  readonly go: () => void;
  readonly giveUp: (error: ServiceError) => void;
}

/** The calls of one uid: how many are handled, are parked and wait, and in which order. */
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
  /** Calls that wait because the uid was sent too much; the others pass them. */
  throttled: IncomingCall[] = [];
  /** Calls that were refused when the uid was sent too much: what refuses them is sent later. */
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

  /** LimitsExceeded when too many calls wait for something else than a place, or what they hold is too much. */
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
 * The places in which calls are handled: so many for each uid, and so many for all uids together that are not
 * trusted. Free places go to the uids round-robin; trusted uids have places of their own.
 */
export class Places {
  readonly #most: number;
  #taken = 0;
  readonly #ready = { trusted: new Set<UidCalls>(), others: new Set<UidCalls>() };

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a place is free for a call of this uid. */
  isFree(calls: UidCalls): boolean {
    return calls.active < calls.limits.active && (calls.isTrusted || this.#taken < this.#most);
  }

  take(calls: UidCalls): void {
    calls.active++;
    if (!calls.isTrusted) this.#taken++;
  }

  giveBack(calls: UidCalls): void {
    calls.active--;
    if (!calls.isTrusted) this.#taken--;
  }

  /** Notes whether a uid has calls that wait for a place, and one of its own to give them. */
  update(calls: UidCalls): void {
    const waits = calls.resuming.length > 0 || calls.queue.length > 0;
    const set = this.#setOf(calls);
    if (waits && calls.active < calls.limits.active) set.add(calls);
    else set.delete(calls);
  }

  /** The next uid in round-robin order that can use a place; undefined when there is none. */
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
