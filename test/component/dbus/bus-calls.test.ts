import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus, type MethodCall } from '../../../src/dbus/bus.ts';
import type { Message } from '../../../src/dbus/wire/message.ts';
import { BusError } from '../../../src/dbus/wire/wire-errors.ts';
import { describeError, isServiceError } from '../../../src/errors.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { bytesOfMessage } from '../../support/wire/messages.ts';
import { RawBus, withSender } from '../../support/wire/raw-bus.ts';

const test = suite('dbus calls of a connection');

const call: MethodCall = { destination: ':1.9', path: '/a', interface: 'a.b', member: 'M' };

/** A connection to a fake bus that sends the messages of the test. */
async function withBus(body: (raw: RawBus, bus: Bus) => Promise<void>): Promise<void> {
  await using raw = await RawBus.start();
  await using bus = await Bus.connect(raw.address);
  await body(raw, bus);
}

/** The headers of this many calls, once the bus has received them. */
async function received(raw: RawBus, count: number) {
  await until(15_000, 'the calls', () => raw.received.length >= count);
  return raw.received.map(({ header }) => header);
}

type Fields = Partial<Message>;
const reply = (replySerial: number | undefined, text: string, fields: Fields = {}) =>
  bytesOfMessage({ type: 2, replySerial, signature: 's', body: [text], ...fields });
const failure = (replySerial: number | undefined, errorName: string, fields: Fields = {}) =>
  bytesOfMessage({ type: 3, replySerial, errorName, ...fields });

test('are each completed by the reply to their serial, whatever else arrives', () =>
  withBus(async (raw, bus) => {
    const calls = ['one', 'two', 'three'].map((member) => bus.call({ ...call, member }));
    const serials = (await received(raw, 3)).map(({ serial }) => serial);
    assert.is(new Set(serials).size, 3);
    assert.not.ok(serials.includes(0));
    const [one, two, three] = serials;
    raw.send(reply(0, 'of none'));
    raw.send(reply(9999, 'of none'));
    raw.send(failure(9999, 'a.b.Error'));
    raw.send(reply(three, 'third'));
    raw.send(reply(one, 'first'));
    raw.send(reply(one, 'first again'));
    raw.send(failure(two, 'org.iotedge.Error.NotFound', { signature: 's', body: ['second'] }));
    const [first, second, third] = await deadline(15_000, Promise.allSettled(calls), 'the replies');
    assert.equal(first, { status: 'fulfilled', value: ['first'] });
    assert.equal(third, { status: 'fulfilled', value: ['third'] });
    const reason: unknown = second?.status === 'rejected' ? second.reason : undefined;
    assert.ok(isServiceError(reason, 'NotFound') && reason.message === 'second');
  }));

test('set the flags for auto-start and interactive authorization', () =>
  withBus(async (raw, bus) => {
    const options = [{}, { noAutoStart: true }, { interactive: true }];
    const all = [...options, { noAutoStart: true, interactive: true }];
    const calls = all.map((more) => failureOf(bus.call({ ...call, ...more })));
    const headers = await received(raw, 4);
    assert.equal(
      headers.map(({ flags }) => flags),
      [0, 2, 4, 6],
    );
    for (const { serial } of headers) raw.send(reply(serial, 'x'));
    assert.equal(new Set(await Promise.all(calls)), new Set(['no failure']));
  }));

test('end at the timeout or when they are cancelled, and ignore a late reply', () =>
  withBus(async (raw, bus) => {
    const abort = new AbortController();
    const late = failureOf(bus.call(call, { timeoutMs: 20 }));
    const aborted = failureOf(bus.call(call, { signal: abort.signal }));
    assert.is(await deadline(15_000, late, 'the timeout'), 'Unavailable');
    const serials = (await received(raw, 2)).map(({ serial }) => serial);
    abort.abort();
    assert.is(await deadline(15_000, aborted, 'the end'), 'Cancelled');
    for (const serial of serials) raw.send(reply(serial, 'late'));
    const next = bus.call(call);
    raw.send(reply((await received(raw, 3))[2]?.serial, 'in time'));
    assert.equal(await deadline(15_000, next, 'the reply'), ['in time']);
  }));

test('name the peer that disconnects before it replies', () =>
  withBus(async (raw, bus) => {
    const text = bus.call(call).then(() => '', describeError);
    const [{ serial } = { serial: 0 }] = await received(raw, 1);
    const error = 'org.freedesktop.DBus.Error.NoReply';
    raw.send(failure(serial, error, { signature: 's', body: ['peer disconnected'] }));
    const wanted = ':1.9 did not reply to M: peer disconnected';
    assert.is(await deadline(15_000, text, 'the failure'), wanted);
  }));

test('end when the bus does', () =>
  withBus(async (raw, bus) => {
    const calls = [
      failureOf(bus.call(call, { timeoutMs: 20_000 })),
      failureOf(bus.call(call, { timeoutMs: 25_000 })),
    ];
    await received(raw, 2);
    await raw[Symbol.asyncDispose]();
    const outcomes = await deadline(15_000, Promise.all(calls), 'the end of the calls');
    assert.equal(outcomes, ['Unavailable', 'Unavailable']);
    assert.instance(await deadline(15_000, bus.closed, 'the end'), Error);
    const after = failureOf(bus.call(call, { timeoutMs: 20_000 }));
    assert.is(await deadline(15_000, after, 'the end of a later call'), 'Unavailable');
  }));

test('fail when the reply has an unexpected type', () =>
  withBus(async (raw, bus) => {
    const calls = ['s', '', 'ss', 'u'].map((replySignature) =>
      bus.call({ ...call, replySignature }),
    );
    for (const { serial } of await received(raw, 4)) raw.send(reply(serial, 'text'));
    const outcomes = await Promise.all(calls.map((one) => failureOf(one)));
    assert.equal(outcomes, ['no failure', 'Failed', 'Failed', 'Failed']);
  }));

test('are sent when others get a reply or an error, and do not wait for those to another peer', () =>
  withBus(async (raw, bus) => {
    const to = (destination: string, count: number) =>
      Array.from({ length: count }, () => failureOf(bus.call({ ...call, destination })));
    const calls = [...to(':1.9', 51), ...to(':1.8', 51)];
    const headers = await received(raw, 100);
    const last = headers.find(({ destination }) => destination === ':1.8');
    raw.send(failure(last?.serial, 'a.b.Error'));
    const next = (await received(raw, 101))[100];
    assert.is(next?.destination, ':1.8');
    for (const { serial } of headers) raw.send(failure(serial, 'a.b.Error'));
    for (const { serial } of (await received(raw, 102)).slice(100)) raw.send(reply(serial, 'x'));
    const outcomes = await deadline(15_000, Promise.all(calls), 'the replies');
    assert.is(outcomes.filter((outcome) => outcome === 'no failure').length, 2);
  }));

test('fail with the name of an error whose text is missing, too long or of another type', () =>
  withBus(async (raw, bus) => {
    const texts: readonly Fields[] = [
      {},
      { signature: 's', body: ['x'.repeat(100_000)] },
      { signature: 'u', body: [7] },
    ];
    const calls = texts.map(() => bus.call(call));
    const headers = await received(raw, texts.length);
    texts.forEach((fields, at) => raw.send(failure(headers[at]?.serial, 'a.b.Odd', fields)));
    for (const outcome of await deadline(15_000, Promise.allSettled(calls), 'the errors')) {
      const reason: unknown = outcome.status === 'rejected' ? outcome.reason : undefined;
      assert.ok(reason instanceof BusError && reason.errorName === 'a.b.Odd');
      assert.is(reason.message, 'a.b.Odd');
    }
  }));

test('do not interfere with signals, which are received up to 64 KiB and 4096 elements', () =>
  withBus(async (raw, bus) => {
    const received: unknown[] = [];
    await bus.subscribe({ member: 'News' }, ({ body: [first] }) => {
      received.push(first instanceof Uint8Array || Array.isArray(first) ? first.length : first);
    });
    const signal = (signature: string, value: unknown, member = 'News') => {
      const fields = { path: '/a', interface: 'a.b', member, signature, body: [value] };
      raw.send(withSender(bytesOfMessage({ type: 4, ...fields }), ':1.7'));
    };
    signal('ay', Buffer.alloc((64 << 10) - 4));
    signal('ay', Buffer.alloc((64 << 10) - 3));
    signal(
      'as',
      Array.from({ length: 4096 }, () => ''),
    );
    signal(
      'as',
      Array.from({ length: 4097 }, () => ''),
    );
    signal('s', 'other', 'Other');
    signal('s', 'last');
    await until(15_000, 'the last signal', () => received.includes('last'));
    assert.equal(received, [(64 << 10) - 4, 4096, 'last']);
  }));

test.run();
