import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { OutboxLimits } from '../../../../src/dbus/wire/connection.ts';
import { Connection, type ConnectionListener } from '../../../../src/dbus/wire/connection.ts';
import { Message } from '../../../../src/dbus/wire/message.ts';
import { deadline, until } from '../../../support/deadline.ts';
import { suite } from '../../../support/timed-suite.ts';
import { bytesOfMessage } from '../../../support/wire/messages.ts';
import { RawBus, withSender } from '../../../support/wire/raw-bus.ts';

const test = suite('a connection to a bus');
const secret = randomBytes(64);

function signalWith(bytes: Buffer): Buffer {
  const fields = { path: '/a', interface: 'a.b', member: 'M', signature: 'ay', body: [bytes] };
  return withSender(bytesOfMessage({ type: 4, ...fields }), ':1.7');
}

/** Every buffer that is allocated while it is open. */
class Allocated implements Disposable {
  readonly buffers: Buffer[] = [];
  readonly #alloc = Buffer.alloc.bind(Buffer);
  readonly #allocUnsafe = Buffer.allocUnsafe.bind(Buffer);

  constructor() {
    Buffer.alloc = (...call: Parameters<typeof Buffer.alloc>) => this.#noted(this.#alloc(...call));
    Buffer.allocUnsafe = (size) => this.#noted(this.#allocUnsafe(size));
  }

  /** The number of them that contain the secret now. */
  get holders(): number {
    return this.buffers.filter((buffer) => buffer.includes(secret)).length;
  }

  [Symbol.dispose](): void {
    Buffer.alloc = this.#alloc;
    Buffer.allocUnsafe = this.#allocUnsafe;
  }

  #noted(buffer: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    this.buffers.push(buffer);
    return buffer;
  }
}

/** A connection to a fake bus, and the messages that it has received. */
async function open(
  raw: RawBus,
  onMessage: ConnectionListener['message'] = () => undefined,
  limits?: OutboxLimits,
) {
  const received = { messages: 0, isClosed: false };
  const connection = await Connection.open(
    raw.address,
    {
      accept: () => 1 << 20,
      message: (message) => {
        received.messages++;
        onMessage(message);
      },
      closed: () => {
        received.isClosed = true;
      },
    },
    { signal: AbortSignal.timeout(10_000), limits },
  );
  return { connection, received };
}

test('wipes what it received as soon as its messages are delivered', async () => {
  await using raw = await RawBus.start();
  using allocated = new Allocated();
  const during: number[] = [];
  const { connection, received } = await open(raw, () => void during.push(allocated.holders));
  const sent = signalWith(secret);
  raw.send(sent);
  await until(10_000, 'the message', () => received.messages === 1);
  assert.ok((during[0] ?? 0) > 0, 'it is found while it is there');
  // the bus of the test has one, too
  const own = allocated.buffers.filter((buffer) => buffer.length === 128 << 10);
  assert.is(own.length, 1);
  assert.not(own.some((buffer) => buffer.includes(secret)));
  await deadline(10_000, connection.close(), 'the end');
});

test('wipes the received part of a message when the bus is lost', async () => {
  await using raw = await RawBus.start();
  const large = 300 << 10;
  using allocated = new Allocated();
  const { received } = await open(raw);
  const body = Buffer.concat([secret, Buffer.alloc(large - secret.length)]);
  raw.send(signalWith(body).subarray(0, 200 << 10));
  const unfinished = () => allocated.buffers.filter((buffer) => buffer.length === large + 4);
  await until(10_000, 'the beginning', () => unfinished().some((one) => one.includes(secret)));
  await raw[Symbol.asyncDispose]();
  await until(10_000, 'the end', () => received.isClosed);
  assert.is(received.messages, 0);
  assert.ok(unfinished().every((buffer) => buffer.every((byte) => byte === 0)));
});

test('stops receiving while its outbox is full, and loses nothing that arrived meanwhile', async () => {
  await using raw = await RawBus.start();
  const count = 300;
  const received: number[] = [];
  const fields = { type: 4, path: '/a', interface: 'a.b', member: 'M' };
  const reply = new Message({ ...fields, signature: 'ay', body: [Buffer.alloc(32 << 10)] });
  const { connection } = await open(
    raw,
    ({ header }) => {
      assert.ok(connection.queuedBytes < 64 << 10, 'one reply above the limit at most');
      received.push(header.serial);
      connection.send(reply);
    },
    { queuedBytes: 10_000, stallMs: 4000, lostMs: 10_000 },
  );
  const body = [Buffer.alloc(2000)];
  const calls = Array.from({ length: count }, (_, at) =>
    bytesOfMessage({ ...fields, serial: at + 1, signature: 'ay', body }),
  );
  for (const call of calls) raw.send(call);
  await until(
    15_000,
    () => `all calls, not ${received.length}`,
    () => received.length === count,
  );
  assert.equal(
    received,
    calls.map((_, at) => at + 1),
  );
  await deadline(10_000, connection.close(), 'the end');
});

test.run();
