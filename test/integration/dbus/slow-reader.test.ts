import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client.ts';
import { WireWriter, writersOf } from '../../../src/dbus/writer.ts';
import { deadline } from '../../support/deadline.ts';
import { echoRemote, echoService, startEcho } from '../../support/echo-service.ts';
import { type BusKind, PrivateBus } from '../../support/private-bus.ts';
import { RawConnection } from '../../support/raw-connection.ts';

const test = suite('dbus clients that do not read');

const limits = { queuedBytes: 4 << 20, stallMs: 1000, giveUpMs: 3000 };
const callBytes = 1 << 20;

function echoBody(bytes: number): Buffer {
  const writer = new WireWriter();
  const [data, options] = writersOf('aya{sv}');
  data?.(writer, Buffer.alloc(bytes));
  options?.(writer, {});
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

/** Connections that ask for more than dbus-daemon keeps for one sender, and read none of it. */
async function askWithoutReading(socket: string): Promise<readonly RawConnection[]> {
  const { busName: destination, path } = echoService;
  const to = { destination, path, interface: 'org.iotedge.Echo1', member: 'Echo' };
  const first = { type: 1, ...to, signature: 'aya{sv}', body: echoBody(1) };
  const call = { ...first, body: echoBody(callBytes) };
  const askers = [await RawConnection.open(socket), await RawConnection.open(socket)];
  for (const asker of askers) {
    await asker.call(first); // who is known waits for no credentials: each call is answered before the next is read
    asker.stopReading();
    for (let count = 0; count < 70; count++) asker.send(call);
  }
  return askers;
}

/** Looks at the service until somebody else was answered or the service gave its connection up. */
async function outcome(rig: PrivateBus, served: Bus): Promise<{ lost: boolean; most: number }> {
  let most = 0;
  let lost = false;
  const watch = setInterval(() => (most = Math.max(most, served.queuedBytes)), 10);
  void served.closed.then(() => (lost = true));
  await using friend = await rig.connect();
  for (let left = 60; left > 0; left--) {
    const call = client(friend, echoRemote, echoService.manager).Echo({ data: Buffer.of(1) });
    const answered = await call.then(
      () => true,
      () => false,
    );
    if (!answered) {
      // the bus may tell the friend before the service is told
      await deadline(10_000, served.closed, 'the service to give its connection up');
      break;
    }
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
  clearInterval(watch);
  return { lost, most };
}

for (const kind of ['dbus-daemon', 'dbus-broker'] satisfies BusKind[]) {
  test(`neither fill the memory of a service nor hold it up for ever, on ${kind}`, async () => {
    await using rig = await PrivateBus.start(undefined, kind);
    const reports: boolean[] = [];
    const onTakes = (again: boolean): void => void reports.push(again);
    await using served = await Bus.connect(rig.address, { limits, onTakes });
    await startEcho(served);
    const askers = await askWithoutReading(rig.socket);
    const { lost, most } = await deadline(60_000, outcome(rig, served), 'an end');
    assert.ok(most < limits.queuedBytes + 2 * callBytes, `${most} bytes were queued`);
    // dbus-broker drops who does not read; dbus-daemon listens to the service no more until it comes again
    assert.is(lost, kind === 'dbus-daemon');
    assert.is(reports.at(-1), lost ? false : undefined, 'it is reported before it is given up');
    await served.close();
    await using again = await rig.connect(limits);
    await startEcho(again);
    await using friend = await rig.connect();
    await client(friend, echoRemote, echoService.manager).Echo({ data: Buffer.of(1) });
    for (const asker of askers) asker[Symbol.dispose]();
  });
}

test.run();
