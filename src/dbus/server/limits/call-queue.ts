import { isServiceError, ServiceError } from '../../../errors.ts';
import { callerLeft, type IncomingCall } from '../call.ts';
import type { Caller } from '../caller.ts';
import type { CallLimits } from './call-limits.ts';
import { ReplyPacing, Slots, UidCalls } from './uid-calls.ts';

/** Is notified of the outcome of each call; none of these may throw. */
export interface CallQueueListener {
  /** The call has a slot until it is parked or finished. */
  begin(call: IncomingCall): void;
  /** The call does not begin: it waited too long, or the service stops. */
  expire(call: IncomingCall, error: ServiceError): void;
  /** The estimated size of the reply, before the call is decoded. */
  expectedReplyBytes(call: IncomingCall): number;
  isTrusted(uid: number): boolean;
}

const sweepEveryMs = 500;
/** Calls that begin in one iteration of the event loop, so that arriving messages are processed in between. */
const beginsPerIteration = 64;

/**
 * Schedules the calls. Each uid has a number of slots and a queue; a call that waits for something else is parked and
 * releases its slot. The limits are per uid: an attacker would only open more connections.
 *
 *   enter ─► queued ─► active ◄──► parked      active, parked ─► finished
 *              └─► expired, dropped
 */
export class CallQueue {
  readonly #limits: CallLimits;
  readonly #listener: CallQueueListener;
  readonly #now: () => number;
  readonly #pacing: ReplyPacing;
  readonly #slots: Slots;
  readonly #byUid = new Map<number, UidCalls>();
  /** The totals of all uids that are not trusted. */
  readonly #others = { queuedBytes: 0, parkedBytes: 0 };
  #size = 0;
  #isPumping = false;
  #sweep: NodeJS.Timeout | undefined;

  constructor(limits: CallLimits, listener: CallQueueListener, now = () => performance.now()) {
    this.#limits = limits;
    this.#listener = listener;
    this.#now = now;
    this.#slots = new Slots(limits.others.active);
    const expected = (call: IncomingCall): number => listener.expectedReplyBytes(call);
    this.#pacing = new ReplyPacing(limits.replies, expected, now);
  }

  /** The number of calls that are not finished. */
  get size(): number {
    return this.#size;
  }

  /**
   * Begins a call or queues it; LimitsExceeded when the queue of its uid is full. For a uid that was sent too much the
   * rejection is delayed: otherwise a caller that never reads would fill the bus with rejections.
   */
  enter(call: IncomingCall): void {
    const calls = this.#of(call.caller.uid);
    const isFirst = calls.queue.length === 0 && calls.resuming.length === 0;
    if (isFirst && this.#slots.isFree(calls) && !this.#pacing.isBlocked(calls, call)) {
      this.#size++;
      this.#begin(calls, call);
      return;
    }
    try {
      this.#checkQueue(calls, call);
    } catch (error) {
      this.#startSweeping();
      if (isServiceError(error) && this.#pacing.postpone(calls, call, error)) return;
      this.#evict(calls);
      throw error;
    }
    this.#enqueue(calls, call);
  }

  /** Releases the slot of a call while it waits; LimitsExceeded when too many calls of its uid are parked. */
  park(call: IncomingCall): void {
    if (call.state !== 'active') return;
    const calls = this.#of(call.caller.uid);
    const bytes = call.message.header.bodyBytes;
    calls.checkParked(bytes);
    this.#checkParked(calls, bytes);
    call.state = 'parked';
    this.#countParked(calls, 1, bytes);
    this.#slots.release(calls);
    this.#pump(calls);
  }

  /** Acquires a slot again, before calls that have not begun; Unavailable when none is free in time. */
  resume(call: IncomingCall): Promise<void> | undefined {
    const calls = this.#of(call.caller.uid);
    if (call.state !== 'parked') return undefined;
    if (calls.resuming.length === 0 && this.#slots.isFree(calls)) {
      this.#unpark(calls, call);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const go = (): void => {
        this.#unpark(calls, call);
        resolve();
      };
      calls.resuming = [...calls.resuming, { call, since: this.#now(), go, reject }];
      this.#startSweeping();
      this.#pump(calls);
    });
  }

  /** Ends a call and counts the bytes of its reply. */
  finish(call: IncomingCall, replyBytes: number): void {
    const calls = this.#of(call.caller.uid);
    const { state } = call;
    if (state === 'none') return;
    call.state = 'none';
    this.#size--;
    this.#pacing.settle(calls, call, replyBytes);
    if (state === 'active') this.#slots.release(calls);
    else this.#countParked(calls, -1, -call.message.header.bodyBytes);
    this.#pump(calls);
    this.#evict(calls);
  }

  /** Counts the reply to a call that never began. */
  countReply(uid: number, bytes: number): void {
    if (!this.#listener.isTrusted(uid)) this.#pacing.count(uid, bytes);
  }

  /** Removes and returns the queued calls of a connection that left the bus. */
  drop({ uid, sender }: Caller): readonly IncomingCall[] {
    const calls = this.#byUid.get(uid);
    if (calls === undefined) return [];
    const hasLeft = (call: IncomingCall): boolean => call.caller.sender === sender;
    calls.refused = calls.refused.filter(([call]) => !hasLeft(call));
    this.#rejectResuming(calls, hasLeft, callerLeft);
    return this.#remove(calls, hasLeft);
  }

  /** Rejects every call that waits for a slot, because the service stops. */
  refuseQueued(): void {
    const error = new ServiceError('Unavailable', 'the service stops');
    for (const calls of this.#byUid.values()) {
      this.#rejectResuming(calls, () => true, error);
      for (const call of this.#remove(calls, () => true)) this.#listener.expire(call, error);
    }
  }

  #of(uid: number): UidCalls {
    let calls = this.#byUid.get(uid);
    if (calls === undefined) {
      const isTrusted = this.#listener.isTrusted(uid);
      calls = new UidCalls(uid, isTrusted, isTrusted ? this.#limits.trusted : this.#limits.perUid);
      this.#byUid.set(uid, calls);
    }
    return calls;
  }

  #evict(calls: UidCalls): void {
    if (calls.isEmpty) this.#byUid.delete(calls.uid);
  }

  #checkQueue(calls: UidCalls, { message }: IncomingCall): void {
    const bytes = message.sizeBytes;
    calls.checkQueue(bytes);
    const { queuedBytes } = this.#limits.others;
    if (calls.isTrusted || this.#others.queuedBytes + bytes <= queuedBytes) return;
    const what = `${this.#others.queuedBytes} bytes of calls are waiting`;
    throw new ServiceError('LimitsExceeded', `${what}, the limit is ${queuedBytes}`);
  }

  #checkParked(calls: UidCalls, bytes: number): void {
    const { parkedBytes } = this.#limits.others;
    if (calls.isTrusted || this.#others.parkedBytes + bytes <= parkedBytes) return;
    const what = `${this.#others.parkedBytes} bytes of calls wait for something else`;
    throw new ServiceError('LimitsExceeded', `${what}, the limit is ${parkedBytes}`);
  }

  #enqueue(calls: UidCalls, call: IncomingCall): void {
    this.#size++;
    call.queuedAt = this.#now();
    call.message.detach();
    this.#countQueued(calls, call.message.sizeBytes);
    if (this.#pacing.isBlocked(calls, call)) calls.throttled.push(call);
    else calls.queue.push(call);
    this.#startSweeping();
    this.#pump(calls);
  }

  #countQueued(calls: UidCalls, bytes: number): void {
    calls.queuedBytes += bytes;
    if (!calls.isTrusted) this.#others.queuedBytes += bytes;
  }

  #countParked(calls: UidCalls, by: 1 | -1, bytes: number): void {
    calls.parked += by;
    calls.parkedBytes += bytes;
    if (!calls.isTrusted) this.#others.parkedBytes += bytes;
  }

  #begin(calls: UidCalls, call: IncomingCall): void {
    call.state = 'active';
    this.#slots.acquire(calls);
    this.#pacing.expect(calls, call);
    this.#listener.begin(call);
  }

  #unpark(calls: UidCalls, call: IncomingCall): void {
    call.state = 'active';
    this.#countParked(calls, -1, -call.message.header.bodyBytes);
    this.#slots.acquire(calls);
  }

  /** Assigns free slots to waiting calls, one uid after the other. */
  #pump(changed: UidCalls): void {
    this.#slots.update(changed);
    if (this.#isPumping) return;
    this.#isPumping = true;
    let begun = 0;
    try {
      for (let next = this.#slots.next(); next !== undefined; next = this.#slots.next()) {
        this.#beginNext(next);
        this.#slots.update(next);
        if (++begun === beginsPerIteration) break;
      }
    } finally {
      this.#isPumping = false;
    }
    if (begun === beginsPerIteration) setImmediate(() => this.#pump(changed));
  }

  #beginNext(calls: UidCalls): void {
    const [resuming, ...later] = calls.resuming;
    if (resuming !== undefined) {
      calls.resuming = later;
      resuming.go();
      return;
    }
    const call = calls.queue.shift();
    if (call === undefined) return;
    if (this.#pacing.isBlocked(calls, call)) {
      calls.throttled.push(call);
      return;
    }
    this.#countQueued(calls, -call.message.sizeBytes);
    this.#begin(calls, call);
  }

  /** Removes calls from the queue. */
  #remove(calls: UidCalls, matches: (call: IncomingCall) => boolean): readonly IncomingCall[] {
    const removed = [...calls.queue, ...calls.throttled].filter(matches);
    calls.queue = calls.queue.filter((call) => !matches(call));
    calls.throttled = calls.throttled.filter((call) => !matches(call));
    for (const call of removed) {
      this.#countQueued(calls, -call.message.sizeBytes);
      this.#size--;
      call.message.release();
    }
    this.#slots.update(calls);
    this.#evict(calls);
    return removed;
  }

  /** Rejects calls that wait for a slot again. */
  #rejectResuming(
    calls: UidCalls,
    matches: (call: IncomingCall) => boolean,
    error: ServiceError,
  ): void {
    const removed = calls.resuming.filter(({ call }) => matches(call));
    if (removed.length === 0) return;
    calls.resuming = calls.resuming.filter(({ call }) => !matches(call));
    this.#slots.update(calls);
    for (const { reject } of removed) reject(error);
  }

  #startSweeping(): void {
    this.#sweep ??= setInterval(() => this.#expire(), sweepEveryMs).unref();
  }

  /** Rejects calls that waited too long, and releases those that waited for the end of a reply window. */
  #expire(): void {
    let isWaiting = false;
    for (const calls of this.#byUid.values()) {
      this.#expireOf(calls);
      this.#unthrottle(calls);
      for (const [call, error] of this.#pacing.takeRefusals(calls)) {
        this.#listener.expire(call, error);
      }
      this.#evict(calls);
      if (calls.queued > 0 || calls.resuming.length > 0 || calls.refused.length > 0)
        isWaiting = true;
    }
    if (isWaiting) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #expireOf(calls: UidCalls): void {
    const before = this.#now() - this.#limits.queuedMs;
    const isLate = ({ queuedAt }: IncomingCall): boolean => queuedAt <= before;
    const error = this.#expiry(calls);
    for (const call of this.#remove(calls, isLate)) this.#listener.expire(call, error);
    const late = new Set(
      calls.resuming.filter(({ since }) => since <= before).map(({ call }) => call),
    );
    this.#rejectResuming(calls, (call) => late.has(call), error);
  }

  #expiry({ uid, throttled }: UidCalls): ServiceError {
    const { queuedMs, replies } = this.#limits;
    const limit = `${replies.largeTotalBytes} bytes in large replies, or ${replies.totalBytes} in all`;
    const why =
      throttled.length > 0 ? `uid ${uid} was sent ${limit}` : `others of uid ${uid} were handled`;
    const text = `the call waited ${queuedMs / 1000} s while ${why}; try again`;
    return new ServiceError('Unavailable', text);
  }

  #unthrottle(calls: UidCalls): void {
    const [next] = calls.throttled;
    if (next === undefined || this.#pacing.isBlocked(calls, next)) return;
    calls.queue.unshift(...calls.throttled);
    calls.throttled = [];
    this.#pump(calls);
  }
}
