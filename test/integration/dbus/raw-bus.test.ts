import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus } from '../../../src/dbus/bus.ts';
import { until } from '../../support/deadline.ts';
import { numbers } from '../../support/numbers.ts';
import { type EchoFixture, echoService, startEcho } from '../../support/wire/echo-service.ts';
import { bytesOfMessage } from '../../support/wire/messages.ts';
import { RawBus, withSender } from '../../support/wire/raw-bus.ts';

const test = suite('dbus on a bus that validates nothing');
const { busName, path } = echoService;

async function withEcho(
  body: (rig: EchoFixture & { readonly raw: RawBus; readonly bus: Bus }) => Promise<void>,
): Promise<void> {
  await using raw = await RawBus.start();
  await using bus = await Bus.connect(raw.address);
  await body({ raw, bus, ...(await startEcho(bus)) });
}

function echo(serial: number, data: Buffer): Buffer {
  const call = { type: 1, serial, path, interface: busName, member: 'Echo' };
  return bytesOfMessage({ ...call, signature: 'aya{sv}', body: [data, {}] });
}

test('drops calls of senders that cannot receive a reply, and serves the others', () =>
  withEcho(async ({ raw, failures }) => {
    raw.send(echo(1, Buffer.of(1)));
    const senders = ['', 'x y', 'a.b', ':', ':1', ':1.2.', ':1.2\n', '\xe9', 'a'.repeat(300)];
    senders.forEach((sender, at) => raw.send(withSender(echo(at + 2, Buffer.of(1)), sender)));
    raw.send(withSender(echo(99, Buffer.of(1)), ':1.7'));
    await until(15_000, 'the reply', () => raw.replyTo(99) !== undefined);
    assert.equal([raw.received.length, failures.length], [1, 0]);
  }));

/** A call with random bytes after its sizes. */
function spoilt(serial: number, next: (below: number) => number): Buffer {
  const size = [0, 10, 3000, 90_000, 2 << 20][next(5)] ?? 0;
  const bytes = withSender(echo(serial, Buffer.alloc(size, serial)), ':1.7');
  for (let left = next(6); left >= 0; left--) bytes[16 + next(bytes.length - 16)] = next(256);
  return bytes;
}

test('survives calls with invalid headers and bodies, and replies to every valid one between them', () =>
  withEcho(async ({ raw, server }) => {
    const next = numbers(28);
    for (let serial = 1; serial < 2000; serial += 2) {
      raw.send(spoilt(serial, next));
      raw.send(withSender(echo(serial + 1, Buffer.alloc(next(300), 7)), ':1.7'));
      if (serial % 200 === 1) {
        await until(30_000, 'the reply', () => raw.replyTo(serial + 1) !== undefined);
      }
    }
    raw.send(withSender(echo(4000, Buffer.of(1)), ':1.7'));
    await until(30_000, 'the last reply', () => raw.replyTo(4000) !== undefined);
    for (let serial = 2; serial < 2000; serial += 2) {
      assert.is(raw.replyTo(serial)?.header.type, 2, `${serial}`);
    }
    await until(15_000, 'the calls to end', () => server.pendingCalls === 0);
  }));

test.run();
