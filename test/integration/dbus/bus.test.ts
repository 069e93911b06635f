import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus, type BusSignal } from '../../../src/dbus/bus.ts';
import { callerLeft, IncomingCall } from '../../../src/dbus/server/call.ts';
import { Callers } from '../../../src/dbus/server/caller.ts';
import { Message, type MessageHeader } from '../../../src/dbus/wire/message.ts';
import { BusError } from '../../../src/dbus/wire/wire-errors.ts';
import { isServiceError } from '../../../src/errors.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { callWith } from '../../support/wire/messages.ts';

const test = suite('dbus bus');

const driver = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
};
const source = { path: '/a', interface: 'a.b', member: 'News' };

test('sends Hello and has a unique name', async () => {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  assert.match(bus.uniqueName, /^:\d+\.\d+$/);
  const [names] = await bus.call({ ...driver, member: 'ListNames' });
  assert.ok(Array.isArray(names) && names.includes(bus.uniqueName));
});

test('acquires a name once, releases it, and returns its owner', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using two = await rig.connect();
  assert.is(await one.nameOwner('a.b'), undefined);
  await one.requestName('a.b');
  await one.requestName('a.b');
  assert.is(await two.nameOwner('a.b'), one.uniqueName);
  assert.is(await failureOf(two.requestName('a.b')), 'Unavailable');
  await one.releaseName('a.b');
  assert.is(await two.nameOwner('a.b'), undefined, 'it was not kept waiting for the name');
  await two.requestName('a.b');
});

test('is Unavailable where the name has no owner, or the owner does not reply', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using deaf = await rig.connect();
  const nobody = { destination: 'no.body', path: '/', interface: 'a.b', member: 'M' };
  assert.is(await failureOf(one.call(nobody)), 'Unavailable');
  const silent = { ...nobody, destination: deaf.uniqueName };
  const late: unknown = await one.call(silent, { timeoutMs: 50 }).catch((error: unknown) => error);
  assert.ok(isServiceError(late, 'Unavailable') && late.cause instanceof BusError);
  const abort = AbortSignal.timeout(50);
  const waiting = one.call(silent, { signal: abort, timeoutMs: Number.POSITIVE_INFINITY });
  assert.is(await failureOf(waiting), 'Cancelled');
  assert.is(await failureOf(one.call(silent, { signal: abort })), 'Cancelled');
  const served = new IncomingCall(callWith('', []), { sender: ':1.7', uid: 7, gids: [], pid: 1 });
  const following = one.call(silent, { signal: served.cancellation }).catch((why: unknown) => why);
  served.abandon(callerLeft);
  const cancelled = await following;
  assert.ok(isServiceError(cancelled, 'Cancelled'));
  assert.is(cancelled.cause, callerLeft);
});

test('rejects a call whose body does not match, and continues', async () => {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  const call = { ...driver, member: 'GetNameOwner', signature: 's', body: [7] };
  assert.match(await failureOf(bus.call(call)), 'TypeError');
  await bus.call({ ...driver, member: 'GetId' });
});

test('connects to abstract sockets and uses the first address that works', async () => {
  await using rig = await PrivateBus.start();
  const address = `tcp:host=x,port=1;unix:path=${rig.socket.replace('/', '%2f')}`;
  await using bus = await Bus.connect(address);
  assert.ok(bus.uniqueName);
  assert.is(await failureOf(Bus.connect('unix:abstract=/iotedge-no-such-bus')), 'Unavailable');
  assert.is(await failureOf(Bus.connect('tcp:host=x')), 'Unavailable');
  assert.is(await failureOf(Bus.connect('unix:path=%zz')), 'Unavailable');
});

test('gives up on a bus that accepts and then stays silent', async () => {
  await using rig = await PrivateBus.start();
  const path = join(rig.directory, 'mute');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const connecting = Bus.connect(`unix:path=${path}`, { signal: AbortSignal.timeout(100) });
  assert.is(await deadline(15_000, failureOf(connecting), 'connect to give up'), 'Unavailable');
  server.close();
  await rm(path, { force: true });
});

test('gives up on a peer that speaks another protocol', async () => {
  await using rig = await PrivateBus.start();
  const path = join(rig.directory, 'http');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write('OK 00\r\n'));
    socket.on('data', (chunk) => {
      if (chunk.includes('NEGOTIATE_UNIX_FD')) socket.write('AGREE_UNIX_FD\r\n');
      if (chunk.includes('BEGIN')) socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
  });
  server.listen(path);
  await once(server, 'listening');
  const connecting = Bus.connect(`unix:path=${path}`);
  assert.is(await deadline(15_000, failureOf(connecting), 'connect to give up'), 'Unavailable');
  server.close();
});

test('detects the loss of the bus and rejects pending calls', async () => {
  await using rig = await PrivateBus.start();
  const bus = await rig.connect();
  await using deaf = await rig.connect();
  const call = { destination: deaf.uniqueName, path: '/', interface: 'a.b', member: 'M' };
  const waiting = failureOf(bus.call(call));
  await bus.call({ ...driver, member: 'GetId' });
  await rig.kill();
  assert.is(await deadline(15_000, waiting, 'the call to fail'), 'Unavailable');
  assert.instance(await deadline(15_000, bus.closed, 'closed'), Error);
  assert.is(await failureOf(bus.call(call)), 'Unavailable');
  await bus.close();
});

test('closes without an error on request, after queued messages are sent', async () => {
  await using rig = await PrivateBus.start();
  await using listener = await rig.connect();
  const bus = await rig.connect();
  const signals: BusSignal[] = [];
  await listener.subscribe({ sender: bus.uniqueName }, (signal) => void signals.push(signal));
  for (let at = 0; at < 500; at++) {
    const body = [at, Buffer.alloc(20_000)]; // more than the socket accepts at once
    bus.send(new Message({ ...source, type: 4, signature: 'uay', body }));
  }
  const closing = bus.close();
  // messages after the end are not sent, and do not affect earlier ones
  bus.send(new Message({ ...source, type: 4, signature: 'uay', body: [500, Buffer.of()] }));
  await new Promise((resolve) => void setImmediate(resolve));
  await deadline(15_000, closing, 'close');
  assert.is(await deadline(15_000, bus.closed, 'closed'), undefined);
  await until(15_000, 'all signals', () => signals.length === 500);
  assert.equal(
    signals.map(({ body }) => body[0]),
    [...signals.keys()],
  );
});

test('receives subscribed signals, until it is disposed of', async () => {
  await using rig = await PrivateBus.start();
  await using listener = await rig.connect();
  await using sender = await rig.connect();
  const signals: string[] = [];
  const note = ({ body }: BusSignal): void => void signals.push(String(body[0]));
  const subscription = await listener.subscribe({ ...source, arg0: "it's" }, note);
  const emit = (path: string, text: string): number =>
    sender.send(new Message({ ...source, path, type: 4, signature: 's', body: [text] }));
  emit('/a', "it's");
  emit('/b', "it's");
  emit('/a', 'other');
  await until(15_000, 'a signal', () => signals.length > 0);
  await subscription[Symbol.asyncDispose]();
  emit('/a', "it's");
  await sender.call({ ...driver, member: 'GetId' });
  await listener.call({ ...driver, member: 'GetId' });
  assert.equal(signals, ["it's"]);
});

test('subscribes and unsubscribes repeatedly', async () => {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  for (let round = 0; round < 600; round++) {
    const subscription = await bus.subscribe({ ...source, arg0: String(round) }, () => undefined);
    await subscription[Symbol.asyncDispose]();
  }
});

test('accepts signals of a name only from the owner of the name', async () => {
  await using rig = await PrivateBus.start();
  await using listener = await rig.connect();
  await using first = await rig.connect();
  await using second = await rig.connect();
  const signals: string[] = [];
  const match = { sender: 'org.iotedge.Source', ...source };
  await listener.subscribe(match, ({ body }) => void signals.push(String(body[0])));
  const emit = (bus: Bus, text: string): Promise<readonly unknown[]> => {
    const { uniqueName: destination } = listener; // unicast: delivered without a match rule
    const signal = { ...source, destination, type: 4, signature: 's', body: [text] };
    bus.send(new Message(signal));
    return bus.call({ ...driver, member: 'GetId' });
  };
  await emit(second, 'nobody owns it');
  await first.requestName('org.iotedge.Source');
  await emit(first, 'owner');
  await emit(second, 'impostor');
  await first.releaseName('org.iotedge.Source');
  await emit(first, 'former owner');
  await second.requestName('org.iotedge.Source');
  await emit(second, 'new owner');
  await listener.call({ ...driver, member: 'GetId' });
  assert.equal(signals, ['owner', 'new owner']);
});

test('accepts signals of a name that had an owner before', async () => {
  await using rig = await PrivateBus.start();
  await using listener = await rig.connect();
  await using owner = await rig.connect();
  await owner.requestName('org.iotedge.Source');
  const signals: string[] = [];
  const match = { sender: 'org.iotedge.Source', ...source };
  await listener.subscribe(match, ({ body }) => void signals.push(String(body[0])));
  owner.send(new Message({ ...source, type: 4, signature: 's', body: ['news'] }));
  await until(15_000, 'the signal', () => signals.length === 1);
});

test('survives a listener that throws', async () => {
  await using rig = await PrivateBus.start();
  await using listener = await rig.connect();
  await using sender = await rig.connect();
  let signals = 0;
  await listener.subscribe(source, () => {
    signals++;
    throw new Error('a listener of a test');
  });
  const warned = once(process, 'warning');
  sender.send(new Message({ ...source, type: 4 }));
  await until(15_000, 'the signal', () => signals === 1);
  await deadline(15_000, warned, 'a warning');
  await listener.call({ ...driver, member: 'GetId' });
});

/** Replies to every call in the same way. */
function serve(
  bus: Bus,
  reply: { readonly signature: string; readonly body: readonly unknown[] },
): void {
  bus.serveCalls({
    maxBodyBytes: () => 0,
    receive: ({ header: { serial: replySerial, sender: destination } }) =>
      void bus.send(new Message({ type: 2, replySerial, destination, ...reply })),
  });
}

test('receives a reply of 24 MiB', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using two = await rig.connect();
  const big = Buffer.alloc(24 << 20, 7);
  serve(two, { signature: 'ay', body: [big] });
  const call = { destination: two.uniqueName, path: '/', interface: 'a.b', member: 'M' };
  const [reply] = await one.call(call);
  assert.ok(big.equals(reply as Buffer));
});

test('refuses a reply of an unexpected signature', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using two = await rig.connect();
  serve(two, { signature: 's', body: ['text'] });
  const call = { destination: two.uniqueName, path: '/', interface: 'a.b', member: 'M' };
  assert.equal(await one.call({ ...call, replySignature: 's' }), ['text']);
  assert.is(await failureOf(one.call({ ...call, replySignature: 'ay' })), 'Failed');
});

test('skips a reply that exceeds the size or the number of elements that its call allows', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using two = await rig.connect();
  serve(two, { signature: 'as', body: [Array.from({ length: 100 }, () => 'text')] });
  const call = { destination: two.uniqueName, path: '/', interface: 'a.b', member: 'M' };
  const limited = (bytes: number, elements: number) =>
    failureOf(one.call({ ...call, replyLimit: { bytes, elements } }));
  assert.is(await limited(1300, 100), 'no failure');
  assert.is(await limited(1200, 100), 'Failed');
  assert.is(await limited(1300, 99), 'Failed');
  assert.is(await failureOf(one.call(call)), 'no failure', 'and goes on');
});

test('does not exceed the limit of the bus after its own calls have timed out', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  await using deaf = await rig.connect();
  await using two = await rig.connect();
  serve(two, { signature: '', body: [] });
  const to = (bus: Bus) => ({
    destination: bus.uniqueName,
    path: '/',
    interface: 'a.b',
    member: 'M',
  });
  const call = () => failureOf(one.call(to(deaf), { timeoutMs: 300 }));
  const outcomes = await Promise.all(Array.from({ length: 250 }, call));
  assert.equal(new Set(outcomes), new Set(['Unavailable']));
  assert.is(await failureOf(one.call(to(two))), 'no failure', 'others are called all the same');
  await deaf.close();
  const again = await Promise.all(Array.from({ length: 250 }, () => failureOf(one.call(to(two)))));
  assert.equal(new Set(again), new Set(['no failure']));
});

test('has at most a hundred calls pending, fifty to one peer, since a bus refuses more', async () => {
  await using rig = await PrivateBus.start();
  await using one = await rig.connect();
  const received: MessageHeader[] = [];
  const peers = await Promise.all([rig.connect(), rig.connect(), rig.connect()]);
  for (const peer of peers) {
    peer.serveCalls({ maxBodyBytes: () => 0, receive: ({ header }) => void received.push(header) });
  }
  const leave = new AbortController();
  const calls = peers.flatMap(({ uniqueName: destination }, peer) =>
    Array.from({ length: 100 }, (_, at) => {
      const call = { destination, path: '/', interface: 'a.b', member: 'M' };
      return failureOf(one.call(call, peer === 2 && at === 50 ? { signal: leave.signal } : {}));
    }),
  );
  await until(15_000, 'the first calls', () => received.length >= 100);
  await one.call({ ...driver, member: 'GetId' }); // the bus itself is called nevertheless
  assert.is(received.length, 100);
  leave.abort();
  for (let replies = 0; replies < 299; replies++) {
    await until(15_000, 'a call', () => received.length > replies);
    const { serial: replySerial, sender: destination, destination: to } = received[replies] ?? {};
    const peer = peers.find(({ uniqueName }) => uniqueName === to);
    peer?.send(new Message({ type: 2, replySerial, destination }));
  }
  const outcomes = await deadline(15_000, Promise.all(calls), 'the replies');
  assert.equal(
    outcomes.filter((outcome) => outcome !== 'no failure'),
    ['Cancelled'],
  );
  await Promise.all(peers.map((peer) => peer.close()));
});

test('queries the credentials of a caller once and evicts them when it disconnects', async () => {
  await using rig = await PrivateBus.start();
  await using bus = await rig.connect();
  const callers = await Callers.start(bus);
  const other = await rig.connect();
  const name = other.uniqueName;
  const left: string[] = [];
  using _ = callers.onVanish(({ sender }) => void left.push(sender));
  const [first, second] = await Promise.all([callers.get(name), callers.get(name)]);
  assert.is(first, second);
  assert.is(callers.cached.get(name), first);
  assert.is(first.uid, process.getuid?.());
  assert.is(first.pid, process.pid);
  await other.close();
  await until(15_000, 'the caller to be evicted', () => left.includes(name));
  assert.is(callers.cached.get(name), undefined);
  assert.is(await failureOf(callers.get(name)), 'AccessDenied');
});

test('includes the cause when the bus is unreachable', async () => {
  const error: unknown = await Bus.connect('unix:path=/nonexistent/bus').catch((e: unknown) => e);
  assert.ok(isServiceError(error, 'Unavailable') && error.cause instanceof Error);
});

test.run();
