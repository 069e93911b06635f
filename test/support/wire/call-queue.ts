import { IncomingCall } from '../../../src/dbus/server/call.ts';
import type { CallLimits } from '../../../src/dbus/server/limits/call-limits.ts';
import { CallQueue } from '../../../src/dbus/server/limits/call-queue.ts';
import { type ServiceError } from '../../../src/errors.ts';
import { callWith } from './messages.ts';

/** Limits that are reached by a few calls. */
export const smallLimits: CallLimits = {
  perUid: { active: 2, parked: 3, parkedBytes: 5000, queued: 4, queuedBytes: 10_000 },
  trusted: { active: 2, parked: 4, parkedBytes: 9000, queued: 8, queuedBytes: 20_000 },
  others: { active: 5, parkedBytes: 7000, queuedBytes: 15_000 },
  unidentified: { calls: 4, bytes: 1000, totalBytes: 10_000, reservedBytes: 1000 },
  queuedMs: 20_000,
  replies: { largeBytes: 100, largeTotalBytes: 1000, totalBytes: 3000, perMs: 10_000 },
};

/** A queue with a manual clock. */
export interface QueueFixture {
  readonly queue: CallQueue;
  readonly begun: IncomingCall[];
  readonly expired: (readonly [IncomingCall, ServiceError])[];
  /** Adds a call to the queue. */
  readonly call: (
    uid: number,
    options?: { readonly bytes?: number; readonly sender?: string; readonly flags?: number },
  ) => IncomingCall;
  /** Uids in the order in which their calls began. */
  readonly order: () => readonly number[];
  now: number;
  readonly trusted: Set<number>;
  /** Called for each call that begins. */
  onBegin: () => void;
}

/** A queue whose calls of uid 0, and of those in `trusted`, are trusted. */
export function openQueue(
  limits: CallLimits = smallLimits,
  expected: (call: IncomingCall) => number = () => 0,
): QueueFixture {
  const begun: IncomingCall[] = [];
  const expired: [IncomingCall, ServiceError][] = [];
  const fixture: QueueFixture = {
    begun,
    expired,
    trusted: new Set(),
    onBegin: () => undefined,
    now: 1_000_000,
    queue: new CallQueue(
      limits,
      {
        begin: (call) => {
          begun.push(call);
          fixture.onBegin();
        },
        expire: (call, error) => void expired.push([call, error]),
        expectedReplyBytes: expected,
        isTrusted: (uid) => uid === 0 || fixture.trusted.has(uid),
      },
      () => fixture.now,
    ),
    call: (uid, { bytes = 0, sender = `:1.${uid}`, flags = 0 } = {}) => {
      const message = callWith('ay', [Buffer.alloc(bytes)], flags);
      const call = new IncomingCall(message, { sender, uid, gids: [], pid: undefined });
      fixture.queue.enter(call);
      return call;
    },
    order: () => begun.map(({ caller }) => caller.uid),
  };
  return fixture;
}
