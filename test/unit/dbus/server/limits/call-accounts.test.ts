import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IncomingCall } from '../../../../../src/dbus/server/call.ts';
import { IncomingMessage } from '../../../../../src/dbus/wire/inbox.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { codeOf } from '../../../../support/failure.ts';
import { openQueue, smallLimits as small } from '../../../../support/wire/call-queue.ts';
import { callWith } from '../../../../support/wire/messages.ts';

const test = suite('dbus call accounts');

test('counts a call in and out once, however often it is parked or finished', () => {
  const { queue, call, begun } = openQueue();
  const [first, second] = [call(1000), call(1000)];
  for (let more = 0; more < 3; more++) call(1000);
  for (let times = 0; times < 3; times++) queue.finish(first, 0);
  assert.is(begun.length, 3);
  for (let times = 0; times < 5; times++) queue.park(second);
  assert.is(begun.length, 4, 'its place went to the next');
  queue.park(first);
  assert.is(begun.length, 4, 'a call that has ended has no place to give');
  queue.finish(second, 0);
  assert.is(begun.length, 4, 'nor has one that is parked');
  assert.is(queue.size, 3);
});

test('counts the bytes of a parked call until it resumes or ends', () => {
  for (const end of ['finish', 'resume']) {
    for (const uid of [1, 2]) {
      const { queue, call } = openQueue({
        ...small,
        others: { ...small.others, parkedBytes: uid === 1 ? 7000 : 5000 },
      });
      const parked = call(1, { bytes: 4900 });
      queue.park(parked);
      const next = call(uid, { bytes: 4900 });
      assert.is(
        codeOf(() => queue.park(next)),
        'LimitsExceeded',
      );
      if (end === 'finish') queue.finish(parked, 0);
      else assert.is(queue.resume(parked), undefined);
      assert.is(
        codeOf(() => queue.park(next)),
        'no failure',
        `${end} ${uid}`,
      );
    }
  }
});

test('counts the bytes of queued calls until they begin, are dropped or expire', async () => {
  const fill = (fixture: ReturnType<typeof openQueue>) => {
    const active = [fixture.call(1), fixture.call(1)];
    const queued = fixture.call(1, { bytes: 9000, sender: ':1.5' });
    assert.is(
      codeOf(() => fixture.call(1, { bytes: 9000 })),
      'LimitsExceeded',
    );
    return { active, queued };
  };
  const others = { ...small.others, queuedBytes: 10_000 };
  for (const limits of [
    small,
    { ...small, others, perUid: { ...small.perUid, queuedBytes: 99_999 } },
  ]) {
    const dropped = openQueue(limits);
    const { queued } = fill(dropped);
    dropped.queue.drop(queued.caller);
    assert.ok(queued.message.isSkipped, 'and holds nothing of them');
    assert.is(
      codeOf(() => dropped.call(1, { bytes: 9000 })),
      'no failure',
      'dropped',
    );

    const begun = openQueue(limits);
    for (const call of fill(begun).active) begun.queue.finish(call, 0);
    begun.call(1);
    assert.is(
      codeOf(() => begun.call(1, { bytes: 9000 })),
      'no failure',
      'begun',
    );
  }
  const expired = openQueue();
  fill(expired);
  expired.now += small.queuedMs;
  await until(15_000, 'the end of the wait', () => expired.expired.length === 1);
  assert.is(
    codeOf(() => expired.call(1, { bytes: 9000 })),
    'no failure',
    'expired',
  );
});

test('expires each call after its own timeout', async () => {
  const fixture = openQueue();
  const { call, expired } = fixture;
  for (let busy = 0; busy < 2; busy++) call(1000);
  const first = call(1000);
  fixture.now += small.queuedMs - 1;
  const second = call(1000);
  fixture.now += 1;
  await until(15_000, 'the first', () => expired.length > 0);
  assert.equal(
    expired.map(([late]) => late),
    [first],
  );
  fixture.now += small.queuedMs - 2;
  const later = call(1000);
  fixture.now += 1;
  await until(15_000, 'the second', () => expired.length > 1);
  assert.equal(
    expired.map(([late]) => late),
    [first, second],
  );
  fixture.now += small.queuedMs - 1;
  await until(15_000, 'the last', () => expired.length > 2);
  assert.is(expired[2]?.[0], later);
});

test('passes the slot of a parked call to the next in the queue', () => {
  const { queue, call, begun } = openQueue();
  const [first, , third] = [call(1000), call(1000), call(1000)];
  assert.not.ok(begun.includes(third));
  queue.park(first);
  assert.ok(begun.includes(third));
});

test('resumes calls in the order in which their waits ended', async () => {
  const { queue, call } = openQueue();
  const parked = [call(1000), call(1000), call(1000)];
  // each passes its slot to the next
  for (const one of parked) queue.park(one);
  const busy = [call(1000), call(1000)];
  const order: number[] = [];
  const resumed = parked.map(async (one, at) => {
    await queue.resume(one);
    order.push(at);
    queue.finish(one, 0);
  });
  for (const one of busy) queue.finish(one, 0);
  await deadline(10_000, Promise.all(resumed), 'the calls');
  assert.equal(order, [0, 1, 2]);
  assert.is(queue.size, 0);
});

test('stores the account of a uid while any of its calls is parked or to be refused', async () => {
  const fixture = openQueue();
  const { queue, call, expired } = fixture;
  const parked = [1, 2, 3].map(() => call(1000));
  for (const one of parked) queue.park(one);
  queue.finish(call(1000), 0);
  assert.is(
    codeOf(() => queue.park(call(1000))),
    'LimitsExceeded',
  );

  const other = openQueue({ ...small, perUid: { ...small.perUid, queued: 1, queuedBytes: 0 } });
  const active = [other.call(1000), other.call(1000)];
  other.queue.countReply(1000, 3000);
  const refused = other.call(1000);
  assert.equal([other.expired.length, other.queue.size], [0, 2], 'it is refused later');
  for (const one of active) other.queue.finish(one, 0);
  other.now += small.replies.perMs;
  await until(15_000, 'the refusal', () => other.expired.length === 1);
  assert.is(other.expired[0]?.[0], refused);
  assert.is(expired.length, 0);
});

test('evicts a uid that has no calls, and queries again whether it is trusted', () => {
  const { queue, call, trusted, begun } = openQueue({
    ...small,
    trusted: { ...small.trusted, active: 4 },
  });
  queue.finish(call(1000), 0);
  trusted.add(1000);
  for (let count = 0; count < 4; count++) call(1000);
  assert.is(begun.length, 5);
});

test('uses no slots of the others for trusted uids', () => {
  const { call, order } = openQueue();
  for (const uid of [0, 0, 1, 1, 2, 2, 3, 3]) call(uid);
  assert.equal(order(), [0, 0, 1, 1, 2, 2, 3]);
});

test('sends no refusal to a connection that disconnected', async () => {
  const fixture = openQueue({
    ...small,
    perUid: { ...small.perUid, active: 0, queued: 2, queuedBytes: 0 },
  });
  const { queue, call, expired } = fixture;
  queue.countReply(1000, 3000);
  const left = call(1000, { sender: ':1.5' });
  const stays = call(1000, { sender: ':1.6' });
  queue.drop(left.caller);
  fixture.now += small.replies.perMs;
  await until(15_000, 'the refusal', () => expired.length > 0);
  assert.equal(
    expired.map(([refused]) => refused),
    [stays],
  );
});

test('sends each refusal once, and only when the window of its uid has ended', async () => {
  const fixture = openQueue({ ...small, others: { ...small.others, active: 0, queuedBytes: 0 } });
  const { queue, call, expired } = fixture;
  queue.countReply(1001, 3000);
  fixture.now += 5000;
  queue.countReply(1000, 3000);
  const [second, first] = [call(1000), call(1001)];
  fixture.now += 5000;
  await until(15_000, 'the first refusal', () => expired.length > 0);
  fixture.now += 5000;
  await until(15_000, 'the second refusal', () => expired.some(([one]) => one === second));
  assert.equal(
    expired.map(([one]) => one),
    [first, second],
  );
});

test('counts a reply that is smaller than expected with its real size', () => {
  const { queue, call, begun } = openQueue(small, () => 400);
  for (let count = 0; count < 20; count++) queue.finish(call(1000), 10);
  assert.is(begun.length, 20);
});

test('copies queued bodies out of the receive buffer', () => {
  const { queue, call } = openQueue();
  const { caller } = call(1000);
  call(1000);
  const body = Buffer.from('06000000736563726574', 'hex');
  const { header } = callWith('ay', [Buffer.from('secret')]);
  const queued = new IncomingCall(new IncomingMessage(header, body, false), caller);
  queue.enter(queued);
  body.fill(0);
  assert.equal(queued.message.decode(0), [Buffer.from('secret')]);
});

test('begins many calls over several iterations of the event loop, and in order of arrival', async () => {
  const fixture = openQueue({
    ...small,
    perUid: { ...small.perUid, active: 500, queued: 500, queuedBytes: 1 << 20 },
    others: { ...small.others, active: 500, queuedBytes: 1 << 20 },
  });
  const { queue, call, begun } = fixture;
  queue.countReply(1000, 3000);
  const waiting = Array.from({ length: 100 }, () => call(1000));
  assert.is(begun.length, 0);
  let late: IncomingCall | undefined;
  let inOneTurn = 0;
  fixture.onBegin = () => {
    if (begun.length !== 1) return;
    queueMicrotask(() => {
      inOneTurn = begun.length;
      late = call(1000);
    });
  };
  fixture.now += small.replies.perMs;
  await until(15_000, 'the calls', () => begun.length > 100);
  assert.is(inOneTurn, 64);
  assert.equal(begun, [...waiting, late]);
});

test('begins every call that may begin, also without further events', async () => {
  const fixture = openQueue({
    ...small,
    perUid: { ...small.perUid, active: 500, queued: 500, queuedBytes: 1 << 20 },
    others: { ...small.others, active: 500, queuedBytes: 1 << 20 },
  });
  fixture.queue.countReply(1000, 3000);
  for (let count = 0; count < 200; count++) fixture.call(1000);
  fixture.now += small.replies.perMs;
  await until(15_000, 'the calls', () => fixture.begun.length === 200);
});

test('begins calls that were held back for their replies before later ones', async () => {
  const large = new Set<number>([10]);
  const fixture = openQueue(small, ({ message }) =>
    large.has(message.header.bodyBytes) ? 400 : 0,
  );
  const { queue, call, begun } = fixture;
  queue.countReply(1000, 1200);
  queue.countReply(1001, 1200);
  const busy = [call(1000), call(1000)];
  const early = call(1000, { bytes: 6 });
  const late = call(1000);
  const other = call(1001, { bytes: 6 });
  fixture.now += small.replies.perMs;
  await until(15_000, 'the next window', () => begun.includes(other));
  const [one] = busy;
  assert.ok(one);
  queue.finish(one, 0);
  assert.ok(begun.includes(early) && !begun.includes(late));
});

test('sends large replies up to their limit; a reply of exactly the limit is a small one', () => {
  const sizes = new Map<IncomingCall, number>();
  const { queue, call, begun } = openQueue(
    { ...small, perUid: { ...small.perUid, active: 9 } },
    (one) => sizes.get(one) ?? one.message.header.bodyBytes,
  );
  // a body is four bytes larger than its array of bytes
  for (let count = 0; count < 12; count++) queue.finish(call(1000, { bytes: 96 }), 100);
  assert.is(begun.length, 12, 'not one of them is large');
  for (let count = 0; count < 9; count++) queue.finish(call(1000, { bytes: 97 }), 101);
  assert.is(begun.length, 21);
  queue.finish(call(1000, { bytes: 97 }), 101);
  const blocked = call(1000, { bytes: 97 });
  assert.not.ok(begun.includes(blocked), 'they had 1000 bytes');
  assert.ok(begun.includes(call(1000, { bytes: 96 })));
});

test('begins a new window when the previous one has ended, and not with each reply', () => {
  const fixture = openQueue();
  const { queue, call, begun } = fixture;
  queue.countReply(1000, 1500);
  fixture.now += small.replies.perMs - 1;
  queue.countReply(1000, 1499);
  queue.finish(call(1000), 0);
  assert.is(begun.length, 1, 'not enough yet');
  queue.countReply(1000, 1);
  assert.not.ok(begun.includes(call(1000)));
  fixture.now += 1;
  queue.countReply(1000, 1);
  assert.ok(begun.includes(call(1000, { sender: ':1.9' })), 'the window has ended');
});

test('evicts the windows of other uids only when they have ended', () => {
  const fixture = openQueue();
  const { queue, call, begun } = fixture;
  queue.countReply(1000, 3000);
  for (let uid = 10_000; uid < 11_100; uid++) queue.countReply(uid, 1);
  assert.not.ok(begun.includes(call(1000)));
});

test.run();
