import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IncomingCall } from '../../../../../src/dbus/server/call.ts';
import { defaultCallLimits } from '../../../../../src/dbus/server/limits/call-limits.ts';
import { UidCalls } from '../../../../../src/dbus/server/limits/uid-calls.ts';
import { messageFlag } from '../../../../../src/dbus/wire/message.ts';
import { until } from '../../../../support/deadline.ts';
import { codeIn, codeOf } from '../../../../support/failure.ts';
import { openQueue as open, smallLimits as small } from '../../../../support/wire/call-queue.ts';

const test = suite('dbus call queue');

test('runs a limited number of calls of a uid at once, and queues the others in order', () => {
  const { queue, call, begun } = open();
  const calls = [1, 2, 3, 4].map(() => call(1000));
  assert.equal(begun, calls.slice(0, 2));
  const [first, second] = calls;
  assert.ok(first && second);
  queue.finish(second, 0);
  assert.equal(begun, calls.slice(0, 3));
  queue.finish(first, 0);
  assert.equal(begun, calls);
  assert.is(queue.size, 2);
});

test('refuses only what finds the queue of its uid full, and names the limit', () => {
  const { call, queue } = open();
  for (let count = 0; count < 6; count++) call(1000);
  assert.throws(() => call(1000), /the limit is 4 calls/);
  assert.is(
    codeOf(() => call(1000)),
    'LimitsExceeded',
  );
  assert.is(
    codeOf(() => call(1001)),
    'no failure',
  );
  assert.is(queue.size, 7);
});

test('limits the queued bytes of a uid, and of all untrusted uids', () => {
  const { call } = open({ ...small, perUid: { ...small.perUid, queued: 100 } });
  for (const uid of [1, 2, 0]) for (let count = 0; count < 2; count++) call(uid);
  call(1, { bytes: 9000 });
  assert.is(
    codeOf(() => call(1, { bytes: 1000 })),
    'LimitsExceeded',
  );
  assert.is(
    codeOf(() => call(2, { bytes: 6000 })),
    'LimitsExceeded',
    'all together',
  );
  assert.is(
    codeOf(() => call(2, { bytes: 4000 })),
    'no failure',
  );
  assert.is(
    codeOf(() => call(0, { bytes: 19_000 })),
    'no failure',
    'a trusted one',
  );
  assert.is(
    codeOf(() => call(0, { bytes: 1000 })),
    'LimitsExceeded',
  );
});

test('holds exactly as many bytes of a uid as the limits allow', () => {
  const limits = { ...small.perUid, queuedBytes: 1000, parkedBytes: 1000 };
  const calls = new UidCalls(1, false, limits);
  for (const check of [
    (bytes: number) => codeOf(() => calls.checkQueue(bytes)),
    (bytes: number) => codeOf(() => calls.checkParked(bytes)),
  ]) {
    assert.equal([check(1000), check(1001)], ['no failure', 'LimitsExceeded']);
  }
});

test('gives free slots to the uids round-robin', () => {
  const { queue, call, order, begun } = open({
    ...small,
    others: { ...small.others, active: 1 },
  });
  for (const uid of [1, 1, 1, 2, 3, 3]) call(uid);
  for (let finished = 0; finished < 6; finished++) {
    const call = begun[finished];
    assert.ok(call, `${finished}`);
    queue.finish(call, 0);
  }
  assert.equal(order(), [1, 1, 2, 3, 1, 3]);
});

test('has slots for trusted uids when all others are taken', () => {
  const { call, order } = open();
  for (const uid of [1, 1, 2, 2, 3, 3, 4]) call(uid);
  assert.equal(order(), [1, 1, 2, 2, 3]);
  call(0);
  assert.equal(order().at(-1), 0);
});

test('releases the slot of a call while it waits for something else, up to a limit', () => {
  const { queue, call, begun } = open();
  for (let parked = 0; parked < 3; parked++) queue.park(call(1000));
  const last = call(1000);
  assert.is(begun.length, 4, 'those that wait take no place');
  assert.is(
    codeOf(() => queue.park(last)),
    'LimitsExceeded',
  );
  queue.finish(last, 0);
  assert.is(queue.size, 3);
  for (const waiting of begun.slice(0, 3)) queue.finish(waiting, 0);
  assert.is(queue.size, 0);
});

test('limits the bytes of parked calls, of a uid and of all untrusted uids', () => {
  const { queue, call } = open();
  const parkable = (uid: number, bytes: number) => codeOf(() => queue.park(call(uid, { bytes })));
  assert.is(parkable(1, 4900), 'no failure');
  assert.is(parkable(1, 200), 'LimitsExceeded');
  assert.is(parkable(2, 2200), 'LimitsExceeded', 'all together');
  assert.is(parkable(2, 1900), 'no failure');
  assert.is(parkable(0, 8000), 'no failure', 'a trusted one');
});

test('fails a call that waits to resume when its caller disconnects, or the service stops', async () => {
  for (const end of ['drop', 'stop']) {
    const { queue, call } = open();
    const parked = call(1000);
    queue.park(parked);
    for (let count = 0; count < 2; count++) call(1000, { sender: ':1.6' });
    const resumed = queue.resume(parked)?.catch(codeIn);
    if (end === 'drop') queue.drop(parked.caller);
    else queue.refuseQueued();
    assert.is(await resumed, end === 'drop' ? 'Cancelled' : 'Unavailable');
    queue.finish(parked, 0);
    assert.is(queue.size, 2);
  }
});

test('resumes parked calls before calls that have not begun', async () => {
  const { queue, call, begun } = open();
  const waiting = call(1000);
  queue.park(waiting);
  const [first] = [call(1000), call(1000)];
  const late = call(1000);
  const resumed = queue.resume(waiting);
  assert.ok(resumed, 'no place is free');
  queue.finish(first, 0);
  await resumed;
  assert.not.ok(begun.includes(late));
  queue.finish(waiting, 0);
  assert.ok(begun.includes(late));
  queue.park(late);
  assert.is(queue.resume(late), undefined, 'a place is free');
});

test('refuses what was queued for too long, without beginning it', async () => {
  const fixture = open();
  const { queue, call, begun, expired } = fixture;
  const parked = call(1000);
  queue.park(parked);
  const busy = [call(1000), call(1000)];
  const late = call(1000);
  const resumed = queue.resume(parked)?.then(() => 'resumed', codeIn);
  fixture.now += small.queuedMs - 1000;
  const later = call(1000);
  fixture.now += 1000;
  await until(15_000, 'the end of the wait', () => expired.length > 0);
  assert.equal(
    expired.map(([call, { code }]) => [call, code]),
    [[late, 'Unavailable']],
  );
  assert.is(await resumed, 'Unavailable');
  queue.finish(parked, 0);
  for (const one of busy) queue.finish(one, 0);
  assert.ok(begun.includes(later) && !begun.includes(late));
  queue.finish(later, 0);
  assert.is(queue.size, 0);
});

test('drops the queued calls of a connection that disconnected', () => {
  const { queue, call, begun } = open();
  const busy = [call(1000, { sender: ':1.5' }), call(1000, { sender: ':1.5' })];
  call(1000, { sender: ':1.5' });
  const stays = call(1000, { sender: ':1.6' });
  queue.drop({ uid: 1000, sender: ':1.5', gids: [], pid: undefined });
  assert.is(queue.size, 3);
  for (const call of busy) queue.finish(call, 0);
  assert.equal(begun.slice(2), [stays]);
});

test('refuses every queued call when the service stops, and wipes their contents', () => {
  const { queue, call, begun, expired } = open();
  const [, , last] = [1, 2, 3].map(() => call(1000, { bytes: 100 }));
  assert.ok(last);
  const [bytes] = last.message.decode(0);
  assert.is((bytes as Buffer).length, 100);
  queue.refuseQueued();
  assert.equal(
    expired.map(([call, { code }]) => [call, code]),
    [[last, 'Unavailable']],
  );
  assert.equal([begun.length, queue.size], [2, 2]);
  assert.ok(last.message.reader(0).buffer.every((byte) => byte === 0));
});

test('queues calls with large replies once a uid was sent too much, and no others', async () => {
  const isLarge = ({ message }: IncomingCall) => message.header.bodyBytes > 4;
  const fixture = open(small, (call) => (isLarge(call) ? 400 : 0));
  const { queue, call, begun } = fixture;
  const large = { bytes: 10 };
  for (let count = 0; count < 3; count++) queue.finish(call(1000, large), 400);
  const blocked = call(1000, large);
  assert.not.ok(begun.includes(blocked));
  const little = call(1000);
  assert.ok(begun.includes(little), 'a small reply');
  assert.ok(begun.includes(call(1001, large)), 'another uid');
  assert.ok(begun.includes(call(0, large)), 'a trusted one');
  fixture.now += 10_000;
  await until(15_000, 'the next window', () => begun.includes(blocked));
});

test('queues every call of a uid that was sent too much in small replies', async () => {
  const fixture = open();
  const { queue, call, begun } = fixture;
  for (let count = 0; count < 30; count++) queue.finish(call(1000), 100);
  const blocked = call(1000);
  assert.not.ok(begun.includes(blocked));
  assert.ok(begun.includes(call(1001)) && begun.includes(call(0)));
  fixture.now += 10_000;
  await until(15_000, 'the next window', () => begun.includes(blocked));
});

test('delays refusals for a uid that was sent too much, stores nothing for it, and drops what exceeds even that', async () => {
  const fixture = open();
  const { queue, call, expired, begun } = fixture;
  for (let count = 0; count < 30; count++) queue.finish(call(1000), 100);
  for (let count = 0; count < 4; count++) call(1000);
  for (let count = 0; count < 9; count++) call(1000, { flags: messageFlag.noReplyExpected });
  const refused = Array.from({ length: 20 }, () => call(1000, { bytes: 1000 }));
  assert.equal([queue.size, expired.length], [4, 0], 'nothing is sent');
  assert.ok(refused.every(({ message }) => message.isSkipped));
  fixture.now += 10_000;
  await until(15_000, 'the refusals', () => expired.length > 0);
  assert.equal(
    expired.map(([call, { code }]) => [refused.indexOf(call), code]),
    [0, 1, 2, 3].map((at) => [at, 'LimitsExceeded']),
  );
  queue.countReply(1001, 3000);
  assert.not.ok(begun.includes(call(1001)), 'refusals count');
});

test('delays refusals for a uid without other calls, too', async () => {
  const fixture = open({ ...small, others: { ...small.others, queuedBytes: 0 } });
  const { queue, call, expired } = fixture;
  queue.countReply(1000, 3000);
  const refused = call(1000);
  fixture.now += 10_000;
  await until(15_000, 'the refusal', () => expired.length > 0);
  assert.is(expired[0]?.[0], refused);
});

test('does not count replies in one window that were expected in another', () => {
  const fixture = open({ ...small, perUid: { ...small.perUid, active: 99 } }, () => 400);
  const { queue, call, begun } = fixture;
  const old = [1, 2, 3].map(() => call(1000));
  fixture.now += 10_000;
  queue.countReply(1000, 1);
  for (const one of old) queue.finish(one, 0);
  const next = [1, 2, 3, 4].map(() => call(1000));
  assert.equal(begun.slice(3), next.slice(0, 3));
});

test('counts the real size of a reply, and reserves the expected size before', () => {
  const { call, begun } = open({ ...small, perUid: { ...small.perUid, active: 9 } }, () => 400);
  const calls = [1, 2, 3, 4].map(() => call(1000));
  assert.equal(begun, calls.slice(0, 3), 'three are expected to have 1200 bytes');
});

test('queues the calls of a hundred programs that read at the same moment', () => {
  const { call, begun } = open(defaultCallLimits);
  for (let count = 0; count < 64 + 512; count++) call(1000);
  assert.is(
    codeOf(() => call(1000)),
    'LimitsExceeded',
  );
  for (let count = 0; count < 64 + 2048; count++) call(0);
  assert.is(
    codeOf(() => call(0)),
    'LimitsExceeded',
  );
  assert.is(begun.length, 128);
});

test.run();
