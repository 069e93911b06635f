import { isServiceError, ServiceError } from '../../../errors.ts';
import { callerLeft, type IncomingCall } from '../call.ts';
import type { Caller } from '../caller.ts';
import type { CallLimits } from './call-limits.ts';
import { Places, ReplyPacing, UidCalls } from './uid-calls.ts';

/** What becomes of the calls; none of these may throw. */
export interface CallQueueListener {
  /** The call has a place until it is parked or finished. */
  begin(call: IncomingCall): void;
  /** The call waited too long, or the service stops: it will not begin. */
  expire(call: IncomingCall, error: ServiceError): void;
  /** How large the reply of a call may be, as far as is known before it is decoded. */
  expectedReplyBytes(call: IncomingCall): number;
  isTrusted(uid: number): boolean;
}

const sweepEveryMs = 500;
/** Calls that begin in one turn of the event loop; what arrives meanwhile gets its turn, too. */
const beginsPerTurn = 64;

/**
 * Which calls are handled, and which wait. Each uid has so many places and a queue; a call that waits for something
 * else gives its place back. Counted by uid: by connection an attacker would only open more connections.
 *
 *   enter ─► queued ─► active ◄──► parked      active, parked ─► finished
 *              └─► expired, dropped
 */
export class CallQueue {
  readonly #limits: CallLimits;
  readonly #listener: CallQueueListener;
  readonly #now: () => number;
  readonly #pacing: ReplyPacing;
  readonly #places: Places;
  readonly #byUid = new Map<number, UidCalls>();
  /** Of all uids that are not trusted. */
  readonly #others = { queuedBytes: 0, parkedBytes: 0 };
  #size = 0;
  #isPumping = false;
  #sweep: NodeJS.Timeout | undefined;

  constructor(limits: CallLimits, listener: CallQueueListener, now = () => performance.now()) {
    this.#limits = limits;
    this.#listener = listener;
    this.#now = now;
    this.#places = new Places(limits.others.active);
    const expected = (call: IncomingCall): number => listener.expectedReplyBytes(call);
    this.#pacing = new ReplyPacing(limits.replies, expected, now);
  }

  /** Calls that are not finished. */
  get size(): number {
    return this.#size;
  }

  /**
   * Begins a call, now or in its turn; LimitsExceeded when its uid has too much waiting. A uid that was sent too much
   * is refused later: a caller who never reads would have the bus full of refusals otherwise.
   */
  enter(call: IncomingCall): void {
    const calls = this.#of(call.caller.uid);
    const isFirst = calls.queue.length === 0 && calls.resuming.length === 0;
    if (isFirst && this.#places.isFree(calls) && !this.#pacing.isBlocked(calls, call)) {
      this.#size++;
      this.#begin(calls, call);
      return;
    }
    try {
      this.#checkQueue(calls, call);
    } catch (error) {
      this.#startSweeping();
      if (isServiceError(error) && this.#pacing.postpone(calls, call, error)) return;
      this.#forget(calls);
      throw error;
    }
    this.#enqueue(calls, call);
  }

  /** Gives the place of a call back while it waits; LimitsExceeded when too many of its uid do. */
  park(call: IncomingCall): void {
    if (call.place !== 'active') return;
    const calls = this.#of(call.caller.uid);
    const bytes = call.message.header.bodyBytes;
    calls.checkParked(bytes);
    this.#checkParked(calls, bytes);
    call.place = 'parked';
    this.#countParked(calls, 1, bytes);
    this.#places.giveBack(calls);
    this.#pump(calls);
  }

  /** Takes a place again, before the calls that have not begun; Unavailable when none is free in time. */
  resume(call: IncomingCall): Promise<void> | undefined {
    const calls = this.#of(call.caller.uid);
    if (call.place !== 'parked') return undefined;
    if (calls.resuming.length === 0 && this.#places.isFree(calls)) {
      this.#unpark(calls, call);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const go = (): void => {
        this.#unpark(calls, call);
        resolve();
      };
      calls.resuming = [...calls.resuming, { call, since: this.#now(), go, giveUp: reject }];
      this.#startSweeping();
      this.#pump(calls);
    });
  }

  /** Counts a call out that was sent a reply of so many bytes. */
  finish(call: IncomingCall, replyBytes: number): void {
    const calls = this.#of(call.caller.uid);
    const { place } = call;
    if (place === 'none') return;
    call.place = 'none';
    this.#size--;
    this.#pacing.settle(calls, call, replyBytes);
    if (place === 'active') this.#places.giveBack(calls);
    else this.#countParked(calls, -1, -call.message.header.bodyBytes);
    this.#pump(calls);
    this.#forget(calls);
  }

  /** Counts a reply that was sent to a call that never began. */
  countReply(uid: number, bytes: number): void {
    if (!this.#listener.isTrusted(uid)) this.#pacing.count(uid, bytes);
  }

  /** Drops what a connection that left the bus has waiting, and returns it. */
  drop({ uid, sender }: Caller): readonly IncomingCall[] {
    const calls = this.#byUid.get(uid);
    if (calls === undefined) return [];
    const isGone = (call: IncomingCall): boolean => call.caller.sender === sender;
    calls.refused = calls.refused.filter(([call]) => !isGone(call));
    this.#giveUp(calls, isGone, callerLeft);
    return this.#remove(calls, isGone);
  }

  /** Refuses everything that waits for a place: the service stops. */
  refuseQueued(): void {
    const error = new ServiceError('Unavailable', 'the service stops');
    for (const calls of this.#byUid.values()) {
      this.#giveUp(calls, () => true, error);
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

  #forget(calls: UidCalls): void {
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
    call.place = 'active';
    this.#places.take(calls);
    this.#pacing.expect(calls, call);
    this.#listener.begin(call);
  }

  #unpark(calls: UidCalls, call: IncomingCall): void {
    call.place = 'active';
    this.#countParked(calls, -1, -call.message.header.bodyBytes);
    this.#places.take(calls);
  }

  /** Gives free places to the calls that wait for them, one uid after the other. */
  #pump(changed: UidCalls): void {
    this.#places.update(changed);
    if (this.#isPumping) return;
    this.#isPumping = true;
    let begun = 0;
    try {
      for (let next = this.#places.next(); next !== undefined; next = this.#places.next()) {
        this.#beginNext(next);
        this.#places.update(next);
        if (++begun === beginsPerTurn) break;
      }
    } finally {
      this.#isPumping = false;
    }
    if (begun === beginsPerTurn) setImmediate(() => this.#pump(changed));
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

  /** Takes calls out of the queue that will not begin. */
  #remove(calls: UidCalls, isGone: (call: IncomingCall) => boolean): readonly IncomingCall[] {
    const gone = [...calls.queue, ...calls.throttled].filter(isGone);
    calls.queue = calls.queue.filter((call) => !isGone(call));
    calls.throttled = calls.throttled.filter((call) => !isGone(call));
    for (const call of gone) {
      this.#countQueued(calls, -call.message.sizeBytes);
      this.#size--;
      call.message.release();
    }
    this.#places.update(calls);
    this.#forget(calls);
    return gone;
  }

  /** Lets calls fail that wait for a place again. */
  #giveUp(calls: UidCalls, isGone: (call: IncomingCall) => boolean, error: ServiceError): void {
    const gone = calls.resuming.filter(({ call }) => isGone(call));
    if (gone.length === 0) return;
    calls.resuming = calls.resuming.filter(({ call }) => !isGone(call));
    this.#places.update(calls);
    for (const { giveUp } of gone) giveUp(error);
  }

  #startSweeping(): void {
    this.#sweep ??= setInterval(() => this.#expire(), sweepEveryMs).unref();
  }

  /** Refuses what has waited too long, and lets go on what waited for replies to count no more. */
  #expire(): void {
    let isWaiting = false;
    for (const calls of this.#byUid.values()) {
      this.#expireOf(calls);
      this.#unthrottle(calls);
      for (const [call, error] of this.#pacing.takeRefusals(calls)) {
        this.#listener.expire(call, error);
      }
      this.#forget(calls);
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
    this.#giveUp(calls, (call) => late.has(call), error);
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
