import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callerLeft, type IncomingCall } from '../../../../../src/dbus/server/call.ts';
import type { Caller, Callers } from '../../../../../src/dbus/server/caller.ts';
import { Admission } from '../../../../../src/dbus/server/limits/admission.ts';
import {
  type CallLimits,
  defaultCallLimits,
} from '../../../../../src/dbus/server/limits/call-limits.ts';
import { IncomingMessage } from '../../../../../src/dbus/wire/inbox.ts';
import { messageFlag } from '../../../../../src/dbus/wire/message.ts';
import { ServiceError } from '../../../../../src/errors.ts';
import { codeIn } from '../../../../support/failure.ts';
import { callWith } from '../../../../support/wire/messages.ts';

const test = suite('dbus admission');

/** A bus that never reports any credentials, as far as admission reads them. */
const silent = {
  cached: new Map(),
  get: () => new Promise(() => undefined),
  onVanish: () => undefined,
} as unknown as Callers; // its constructor is private

function open(unidentified: CallLimits['unidentified']) {
  const refused: IncomingMessage[] = [];
  const admission = new Admission(
    silent,
    { ...defaultCallLimits, unidentified },
    {
      admitted: () => undefined,
      refused: (message) => refused.push(message),
      lost: () => undefined,
      expectedReplyBytes: () => 0,
      isTrusted: () => false,
    },
  );
  let senders = 0;
  /** Admits the first call of a connection, and returns whether it was accepted. */
  const first = (bytes: number): boolean => {
    const before = refused.length;
    const { header } = callWith('ay', [Buffer.alloc(bytes)]);
    const sender = `:1.${++senders}`;
    admission.admit(new IncomingMessage({ ...header, sender }, Buffer.alloc(bytes), true));
    return refused.length === before;
  };
  return { refused, first };
}

test('accepts large first calls up to a limit for all connections, and small ones beyond it', () => {
  const { first } = open({ calls: 4, bytes: 1000, totalBytes: 10_000, reservedBytes: 1000 });
  assert.equal([first(5000), first(4000), first(5000)], [true, true, false]);
  assert.ok(first(500) && first(500), 'small ones have a reserve');
  assert.ok([1, 2, 3].map(() => first(500)).includes(false), 'which ends');
});

test('stores nothing of a first call that it refuses', () => {
  const { first, refused } = open({ calls: 4, bytes: 10, totalBytes: 100, reservedBytes: 0 });
  assert.not.ok(first(5000));
  assert.ok(refused[0]?.isSkipped);
});

/** A bus that reports credentials when the test does, and the reactions of admission to messages. */
function openWith(limits: Partial<CallLimits> = {}) {
  const callers = new Map<string, Caller>();
  const queries = new Map<
    string,
    { resolve: (caller: Caller) => void; reject: (e: Error) => void }
  >();
  let disconnect: (caller: Caller) => void = () => undefined;
  const bus = {
    cached: callers,
    get: (sender: string) =>
      new Promise((resolve, reject) => void queries.set(sender, { resolve, reject })),
    onVanish: (listener: typeof disconnect) => {
      disconnect = listener;
    },
  } as unknown as Callers; // its constructor is private
  const log: string[] = [];
  const begun: IncomingCall[] = [];
  const nameOf = (message: IncomingMessage): string => message.header.member ?? '';
  const admission = new Admission(
    bus,
    { ...defaultCallLimits, ...limits },
    {
      admitted: (call) => {
        begun.push(call);
        log.push(`begins ${call.member}`);
      },
      refused: (message, call, error) => {
        const code = codeIn(error);
        log.push(`refuses ${nameOf(message)} ${code} ${call?.caller.uid ?? 'unknown'}`);
        return 1 << 20;
      },
      lost: (message, caller) => log.push(`loses ${nameOf(message)} ${caller?.uid ?? 'unknown'}`),
      expectedReplyBytes: () => 0,
      isTrusted: (uid) => uid === 0,
    },
  );
  const admit = (sender: string, member: string, { bytes = 0, flags = 0 } = {}) => {
    const { header } = callWith('ay', [Buffer.alloc(bytes)], flags);
    admission.admit(new IncomingMessage({ ...header, sender, member }, Buffer.alloc(bytes), true));
  };
  const report = async (sender: string, uid = 1000) => {
    const caller = { sender, uid, gids: [], pid: undefined };
    callers.set(sender, caller);
    queries.get(sender)?.resolve(caller);
    await new Promise((resolve) => void setImmediate(resolve));
  };
  const leave = async (sender: string) => {
    const caller = callers.get(sender);
    callers.delete(sender);
    if (caller !== undefined) disconnect(caller);
    else queries.get(sender)?.reject(new ServiceError('AccessDenied', 'it has left'));
    await new Promise((resolve) => void setImmediate(resolve));
  };
  /** The events since the last query. */
  const events = () => log.splice(0);
  let seenAt = admission.lastActivityAt;
  /** Whether a call began or ended since the last query. */
  const wasActive = () => seenAt < (seenAt = admission.lastActivityAt);
  return { admission, admit, report, leave, events, wasActive, begun };
}

test('holds the calls of a connection, in their order, until the bus reports its uid', async () => {
  const { admission, admit, report, events, begun, wasActive } = openWith();
  for (const member of ['A', 'B', 'C']) admit(':1.5', member);
  assert.is(admission.pending, 3);
  assert.equal(events(), []);
  await report(':1.5');
  assert.ok(wasActive());
  assert.equal(events(), ['begins A', 'begins B', 'begins C']);
  admit(':1.5', 'D');
  assert.equal(events(), ['begins D']);
  assert.is(admission.pending, 4);
  for (const call of begun) {
    admission.finish(call, 0);
    assert.ok(wasActive());
    assert.ok(call.message.isSkipped, 'nothing is held of it');
    admission.finish(call, 0);
    assert.equal([events(), wasActive()], [[], false], 'it ends once');
  }
  assert.is(admission.pending, 0);
});

test('admits nothing from a sender that is not a unique name', () => {
  const { admission, admit, events } = openWith();
  for (const sender of ['', 'a.b', 'org.freedesktop.DBus', ':', ':1', '1.5', ' :1.5', ':1.5x']) {
    admit(sender, 'A');
  }
  assert.equal([admission.pending, events()], [0, []]);
});

const unidentified = { calls: 3, bytes: 1000, totalBytes: 20_000, reservedBytes: 2000 };

test('limits the held calls and bytes of a connection, beyond its first call, until its uid is known', async () => {
  const { admit, report, events } = openWith({ unidentified });
  const { sizeBytes } = callWith('ay', [Buffer.alloc(0)]);
  admit(':1.5', 'First', { bytes: 10_000 });
  admit(':1.5', 'B');
  admit(':1.5', 'C');
  admit(':1.5', 'D');
  assert.equal(events(), ['refuses D LimitsExceeded unknown'], 'three calls');
  admit(':1.6', 'First', { bytes: 900 });
  admit(':1.6', 'B', { bytes: 1000 - sizeBytes });
  assert.equal(events(), [], 'as many bytes as there may be');
  admit(':1.6', 'C');
  assert.equal(events(), ['refuses C LimitsExceeded unknown'], 'and not one more');
  await report(':1.5');
  await report(':1.6');
  const all = ['begins First', 'begins B', 'begins C', 'begins First', 'begins B'];
  assert.equal(events(), all);
});

test('counts the bytes of an unidentified connection until it is identified or disconnects', async () => {
  const { admit, report, leave, events } = openWith({ unidentified });
  const fill = (sender: string) => admit(sender, 'A', { bytes: 15_000 });
  fill(':1.1');
  fill(':1.2');
  assert.equal(events(), ['refuses A LimitsExceeded unknown']);
  await report(':1.1');
  fill(':1.2');
  assert.equal(events(), ['begins A']);
  await leave(':1.2');
  assert.equal(events(), ['refuses A AccessDenied unknown']);
  fill(':1.3');
  assert.equal(events(), []);
  admit(':1.4', 'Large', { bytes: 5000 });
  assert.equal(events(), ['refuses Large LimitsExceeded unknown'], 'none but small ones more');
  for (let small = 0; small < 8; small++) admit(`:1.${100 + small}`, 'Small', { bytes: 700 });
  assert.equal(events(), [], 'for which some is reserved');
});

test('drops the calls without a reply of a connection that disconnected, and refuses only unknown ones', async () => {
  const perUid = { ...defaultCallLimits.perUid, active: 1 };
  const { admission, admit, report, leave, events, begun } = openWith({ perUid });
  const flags = messageFlag.noReplyExpected;
  admit(':1.5', 'Quiet', { flags });
  admit(':1.5', 'Loud');
  await leave(':1.5');
  assert.equal(events(), ['loses Quiet unknown', 'refuses Loud AccessDenied unknown']);
  assert.is(admission.pending, 0);
  await report(':1.6');
  for (const member of ['Active', 'Waiting']) admit(':1.6', member);
  admit(':1.6', 'Quiet', { flags });
  await report(':1.7');
  admit(':1.7', 'Other');
  events();
  const [active] = begun;
  assert.ok(active);
  assert.not(active.signal.aborted);
  await leave(':1.6');
  assert.equal(events(), ['loses Quiet 1000']);
  assert.ok(active.signal.aborted);
  assert.is(active.signal.reason, callerLeft);
  admission.finish(active, 0);
  assert.equal(events(), ['begins Other']);
  assert.not(begun.at(-1)?.signal.aborted);
});

test('aborts running calls and refuses queued ones when the service stops', async () => {
  const perUid = { ...defaultCallLimits.perUid, active: 1 };
  const { admission, admit, report, events, begun } = openWith({ perUid });
  await report(':1.5');
  admit(':1.5', 'Active');
  admit(':1.5', 'Waiting');
  events();
  admission.abandonCalls();
  assert.equal(events(), ['refuses Waiting Unavailable 1000']);
  assert.ok(begun[0]?.signal.aborted);
  assert.is.not(begun[0]?.signal.reason, callerLeft);
});

test('counts refusals towards the replies sent to a uid', async () => {
  const perUid = { ...defaultCallLimits.perUid, active: 1, queued: 0 };
  const { admit, report, events } = openWith({ perUid });
  await report(':1.5');
  for (let count = 0; count < 20; count++) admit(':1.5', 'Call');
  assert.is(events().length, 1 + 16, 'each is of 1 MiB, of which a uid is sent 16');
});

test.run();
