import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { writersOf } from '../../../src/dbus/wire/codec.ts';
import { WireWriter } from '../../../src/dbus/wire/writer.ts';
import { deadline, until } from '../../support/deadline.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { echoRemote, echoService, startEcho } from '../../support/wire/echo-service.ts';
import { RawConnection } from '../../support/wire/raw-connection.ts';

const test = suite('dbus clients that do not read');

const limits = { queuedBytes: 4 << 20, stallMs: 500, lostMs: 4000 };
/** The bus connection is never given up, however slow it is. */
const patient = { ...limits, lostMs: 1_000_000 };
const callBytes = 1 << 20;
const callsOfEach = 70;

function echoBody(bytes: number): Buffer {
  const writer = new WireWriter();
  const [data, options] = writersOf('aya{sv}');
  data?.(writer, Buffer.alloc(bytes));
  options?.(writer, {});
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

/** A connection that reads nothing, and its unique name. */
interface Asker {
  readonly raw: RawConnection;
  readonly name: string;
}

/** Requests half of what dbus-daemon buffers for one sender, and more, and reads none of it. */
async function askWithoutReading(socket: string): Promise<Asker> {
  const { busName: destination, path } = echoService;
  const to = { destination, path, interface: 'org.iotedge.Echo1', member: 'Echo' };
  const first = { type: 1, ...to, signature: 'aya{sv}', body: echoBody(1) };
  const call = { ...first, body: echoBody(callBytes) };
  const raw = await RawConnection.open(socket);
  // calls with cached credentials do not wait: each gets its reply before the next is read
  const { header } = await raw.call(first);
  raw.stopReading();
  for (let count = 0; count < callsOfEach; count++) raw.send(call);
  return { raw, name: header.destination ?? '' };
}

/** Records the size of the queue to the bus whenever the service sends something. */
function watchQueue(served: Bus): () => number {
  let most = 0;
  const send = served.send.bind(served);
  served.send = (message) => {
    const bytes = send(message);
    most = Math.max(most, served.queuedBytes);
    return bytes;
  };
  return () => most;
}

/** Whether a name has an owner on the bus. */
async function isThere(bus: Bus, name: string): Promise<boolean> {
  return (await bus.nameOwner(name)) !== undefined;
}

function echoOne(bus: Bus): Promise<unknown> {
  return client(bus, echoRemote, echoService.manager).Echo({ data: Buffer.of(1) });
}

const few = limits.queuedBytes + 2 * callBytes;

test('do not fill the memory of a service, which reconnects when dbus-daemon stops reading', async () => {
  await using rig = await PrivateBus.start(undefined, 'dbus-daemon');
  const reports: boolean[] = [];
  const onStall = (again: boolean): void => void reports.push(again);
  await using served = await Bus.connect(rig.address, { limits, onStall });
  const most = watchQueue(served);
  await startEcho(served);
  using one = (await askWithoutReading(rig.socket)).raw;
  using two = (await askWithoutReading(rig.socket)).raw;
  const end = await deadline(60_000, served.closed, 'the service to give its connection up');
  assert.instance(end, Error);
  assert.is(reports.at(-1), false, 'it is reported before it is given up');
  assert.ok(most() > limits.queuedBytes && most() < few, `${most()} bytes were queued`);
  await using again = await rig.connect();
  const { busName } = echoService;
  await until(60_000, 'the bus to notice', async () => !(await isThere(again, busName)));
  await startEcho(again);
  await using friend = await rig.connect();
  await echoOne(friend);
  assert.not(one.closed || two.closed, 'the bus waits for them still');
});

test('do not fill the memory of a service, nor block it, on dbus-broker', async () => {
  await using rig = await PrivateBus.start(undefined, 'dbus-broker');
  await using served = await Bus.connect(rig.address, { limits: patient });
  let lost = false;
  void served.closed.then(() => (lost = true));
  const most = watchQueue(served);
  const { server, contexts } = await startEcho(served);
  await using friend = await rig.connect();
  const askers = [await askWithoutReading(rig.socket), await askWithoutReading(rig.socket)];
  // it buffers messages for them, or disconnects clients that do not read
  await until(60_000, 'an answer to every call, or the end of those who made it', async () => {
    for (const { name } of askers) {
      const replied = contexts.filter(({ caller }) => caller.sender === name).length;
      if (replied <= callsOfEach && (await isThere(friend, name))) return false;
    }
    return server.pendingCalls === 0;
  });
  await echoOne(friend);
  assert.not(lost);
  assert.ok(most() < few, `${most()} bytes were queued`);
  for (const { raw } of askers) raw[Symbol.dispose]();
});

test.run();
