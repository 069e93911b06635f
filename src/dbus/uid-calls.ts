import { ServiceError } from '../errors.ts';
import type { IncomingCall } from './call.ts';
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
  queuedBytes = 0;
  resuming: Resuming[] = [];
  queue: IncomingCall[] = [];
  /** Calls whose replies may be large, of a uid that was sent much: they wait beside the others. */
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

  get hasPlace(): boolean {
    return this.active < this.limits.active;
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

  /** LimitsExceeded when too many calls wait for something else than a place. */
  checkParked(): void {
    const { parked } = this.limits;
    if (this.parked < parked) return;
    const what = 'calls waiting for operations, authorization or other services';
    throw new ServiceError('LimitsExceeded', `uid ${this.uid} has ${parked} ${what}, the limit`);
  }
}
