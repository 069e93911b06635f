import { ServiceError } from '../../../errors.ts';
import type { IncomingCall } from '../call.ts';
import type { UidLimits } from './call-limits.ts';

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
