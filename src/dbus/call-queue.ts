import { isServiceError, ServiceError } from '../errors.ts';
import type { IncomingCall } from './call.ts';
import type { CallLimits } from './call-limits.ts';
import { ReplyBudget } from './reply-budget.ts';
import { UidCalls } from './uid-calls.ts';

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

const lookEveryMs = 500;
/** Calls that begin in one turn of the event loop; what arrives meanwhile gets its turn, too. */
const beginsPerTurn = 64;

/**
 * Which calls are handled, and which wait. Each uid has so many places and a queue; a call that waits for something
 * else gives its place back. Counted by uid: by connection an attacker would only open more connections.
 *
 *   enter ─► queued ─► active ◄──► parked      active, parked ─► finished
 *              └─► expired, dropped
 */
export class CallQueue implements Disposable {
  readonly #limits: CallLimits;
  readonly #listener: CallQueueListener;
  readonly #now: () => number;
  readonly #budget: ReplyBudget;
  readonly #byUid = new Map<number, UidCalls>();
  /** Uids with a free place and a call for it, in turn; the trusted ones compete with nobody. */
  readonly #ready = { trusted: new Set<UidCalls>(), others: new Set<UidCalls>() };
  readonly #others = { active: 0, queuedBytes: 0 };
  #size = 0;
  #isPumping = false;
  #look: NodeJS.Timeout | undefined;

  constructor(limits: CallLimits, listener: CallQueueListener, now = () => performance.now()) {
    this.#limits = limits;
    this.#listener = listener;
    this.#now = now;
    this.#budget = new ReplyBudget(limits.replies);
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
    if (isFirst && this.#hasPlace(calls) && !this.#isThrottled(calls, call)) {
      this.#size++;
      this.#begin(calls, call);
      return;
    }
    try {
      this.#checkQueue(calls, call);
    } catch (error) {
      if (!this.#postpone(calls, call, error)) throw error;
      return;
    }
    this.#size++;
    call.queuedAt = this.#now();
    call.message.detach();
    this.#addQueued(calls, call.message.sizeBytes);
    if (this.#isThrottled(calls, call)) calls.throttled.push(call);
    else calls.queue.push(call);
    this.#startLooking();
    this.#pump(calls);
  }

  /** Gives the place of a call back while it waits; LimitsExceeded when too many of its uid do. */
  park(call: IncomingCall): void {
    if (call.place !== 'active') return;
    const calls = this.#of(call.caller.uid);
    calls.checkParked();
    call.place = 'parked';
    calls.parked++;
    this.#release(calls);
  }

  /** Takes a place again, before the calls that have not begun; Unavailable when none is free in time. */
  resume(call: IncomingCall): Promise<void> | undefined {
    const calls = this.#of(call.caller.uid);
    if (call.place !== 'parked') return undefined;
    if (calls.resuming.length === 0 && this.#hasPlace(calls)) {
      this.#unpark(calls, call);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const go = (): void => {
        this.#unpark(calls, call);
        resolve();
      };
      calls.resuming.push({ call, since: this.#now(), go, giveUp: reject });
      this.#startLooking();
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
    this.#settleReply(calls, call, replyBytes);
    if (place === 'active') this.#release(calls);
    else calls.parked--;
    this.#forget(calls);
  }

  /** Counts a reply that is sent to a call that never began. */
  countReply(uid: number, bytes: number): void {
    if (!this.#listener.isTrusted(uid)) this.#budget.count(uid, bytes, { now: this.#now() });
  }

  /** Drops the queued calls of a connection that left the bus. */
  drop(sender: string): void {
    for (const calls of this.#byUid.values()) {
      calls.refused = calls.refused.filter(([call]) => call.caller.sender !== sender);
      this.#remove(calls, (call) => call.caller.sender === sender);
      this.#forget(calls);
    }
  }

  /** Refuses every queued call: the service stops. */
  refuseQueued(): void {
    const error = new ServiceError('Unavailable', 'the service stops');
    for (const calls of this.#byUid.values()) {
      for (const call of this.#remove(calls, () => true)) this.#listener.expire(call, error);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#look);
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

  #hasPlace(calls: UidCalls): boolean {
    return calls.hasPlace && (calls.isTrusted || this.#hasOthersPlace());
  }

  #checkQueue(calls: UidCalls, { message }: IncomingCall): void {
    const bytes = message.sizeBytes;
    calls.checkQueue(bytes);
    const { queuedBytes } = this.#limits.others;
    if (calls.isTrusted || this.#others.queuedBytes + bytes <= queuedBytes) return;
    this.#forget(calls);
    const what = `${this.#others.queuedBytes} bytes of calls are waiting`;
    throw new ServiceError('LimitsExceeded', `${what}, the limit is ${queuedBytes}`);
  }

  /** Keeps a refusal for later; false when it is to be sent now. What is too much even for that is dropped. */
  #postpone(calls: UidCalls, call: IncomingCall, error: unknown): boolean {
    const isSpent = !calls.isTrusted && this.#budget.isSpent(calls.uid, 0, this.#now());
    if (!isSpent || !isServiceError(error)) return false;
    call.message.wipe();
    if (calls.refused.length < calls.limits.queued) calls.refused.push([call, error]);
    this.#startLooking();
    return true;
  }

  #sendRefusals(calls: UidCalls): void {
    if (calls.refused.length === 0 || this.#budget.isSpent(calls.uid, 0, this.#now())) return;
    const refused = calls.refused;
    calls.refused = [];
    for (const [call, error] of refused) this.#listener.expire(call, error);
    this.#forget(calls);
  }

  #startLooking(): void {
    this.#look ??= setInterval(() => this.#expire(), lookEveryMs).unref();
  }

  #addQueued(calls: UidCalls, bytes: number): void {
    calls.queuedBytes += bytes;
    if (!calls.isTrusted) this.#others.queuedBytes += bytes;
  }

  #begin(calls: UidCalls, call: IncomingCall): void {
    call.place = 'active';
    calls.active++;
    if (!calls.isTrusted) this.#others.active++;
    call.expectedReplyBytes = this.#expectReply(calls, call);
    this.#listener.begin(call);
  }

  #unpark(calls: UidCalls, call: IncomingCall): void {
    call.place = 'active';
    calls.parked--;
    calls.active++;
    if (!calls.isTrusted) this.#others.active++;
  }

  #release(calls: UidCalls): void {
    calls.active--;
    if (!calls.isTrusted) this.#others.active--;
    this.#pump(calls);
  }

  #isThrottled(calls: UidCalls, call: IncomingCall): boolean {
    if (calls.isTrusted) return false;
    const expected = this.#listener.expectedReplyBytes(call);
    return this.#budget.isSpent(calls.uid, expected, this.#now());
  }

  /** Counts a large reply before it is made, so that many at once do not exceed the budget. */
  #expectReply(calls: UidCalls, call: IncomingCall): number {
    const expected = calls.isTrusted ? 0 : this.#listener.expectedReplyBytes(call);
    if (!this.#budget.isLarge(expected)) return 0;
    this.#budget.count(calls.uid, expected, { now: this.#now() });
    return expected;
  }

  #settleReply(calls: UidCalls, call: IncomingCall, bytes: number): void {
    if (calls.isTrusted) return;
    const { expectedReplyBytes: expectedBytes } = call;
    this.#budget.count(calls.uid, bytes, { expectedBytes, now: this.#now() });
  }

  /** Gives free places to the calls that wait for them, one uid after the other. */
  #pump(changed: UidCalls): void {
    this.#markReady(changed);
    if (this.#isPumping) return;
    this.#isPumping = true;
    const { trusted, others } = this.#ready;
    let begun = 0;
    while (begun < beginsPerTurn) {
      const next = first(trusted) ?? (this.#hasOthersPlace() ? first(others) : undefined);
      if (next === undefined) break;
      this.#ready[next.isTrusted ? 'trusted' : 'others'].delete(next);
      this.#beginNext(next);
      this.#markReady(next);
      begun++;
    }
    this.#isPumping = false;
    if (begun === beginsPerTurn) setImmediate(() => this.#pump(changed));
  }

  #hasOthersPlace(): boolean {
    return this.#others.active < this.#limits.others.active;
  }

  #markReady(calls: UidCalls): void {
    const waits = calls.resuming.length > 0 || calls.queue.length > 0;
    const set = this.#ready[calls.isTrusted ? 'trusted' : 'others'];
    if (waits && calls.hasPlace) set.add(calls);
    else set.delete(calls);
  }

  #beginNext(calls: UidCalls): void {
    const resuming = calls.resuming.shift();
    if (resuming !== undefined) {
      resuming.go();
      return;
    }
    const call = calls.queue.shift();
    if (call === undefined) return;
    if (this.#isThrottled(calls, call)) {
      calls.throttled.push(call);
      return;
    }
    this.#addQueued(calls, -call.message.sizeBytes);
    this.#begin(calls, call);
  }

  /** Takes calls out of the queue that will not begin. */
  #remove(calls: UidCalls, isGone: (call: IncomingCall) => boolean): readonly IncomingCall[] {
    const gone = new Set([...calls.queue, ...calls.throttled].filter(isGone));
    if (gone.size === 0) return [];
    calls.queue = calls.queue.filter((call) => !gone.has(call));
    calls.throttled = calls.throttled.filter((call) => !gone.has(call));
    for (const call of gone) {
      this.#addQueued(calls, -call.message.sizeBytes);
      this.#size--;
      call.message.wipe();
    }
    this.#markReady(calls);
    this.#forget(calls);
    return [...gone];
  }

  /** Refuses what has waited too long, and lets go on what was throttled. */
  #expire(): void {
    const now = this.#now();
    const before = now - this.#limits.queuedMs;
    let isWaiting = false;
    for (const calls of this.#byUid.values()) {
      this.#expireOf(calls, before);
      this.#unthrottle(calls);
      this.#sendRefusals(calls);
      if (!calls.isEmpty) isWaiting = true;
    }
    if (isWaiting) return;
    clearInterval(this.#look);
    this.#look = undefined;
  }

  #expireOf(calls: UidCalls, before: number): void {
    const { queuedMs, replies } = this.#limits;
    const why =
      calls.throttled.length > 0
        ? `uid ${calls.uid} was sent the limit of ${replies.largeTotalBytes} bytes in large replies`
        : `others of uid ${calls.uid} were handled`;
    const error = (): ServiceError =>
      new ServiceError(
        'Unavailable',
        `the call waited ${queuedMs / 1000} s while ${why}; try again`,
      );
    for (const call of this.#remove(calls, ({ queuedAt }) => queuedAt <= before)) {
      this.#listener.expire(call, error());
    }
    const late = calls.resuming.filter(({ since }) => since <= before);
    calls.resuming = calls.resuming.filter(({ since }) => since > before);
    for (const { giveUp } of late) giveUp(error());
  }

  #unthrottle(calls: UidCalls): void {
    const [next] = calls.throttled;
    if (next === undefined || this.#isThrottled(calls, next)) return;
    calls.queue.unshift(...calls.throttled);
    calls.throttled = [];
    this.#pump(calls);
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const one of set) return one;
  return undefined;
}
