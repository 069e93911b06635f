import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Message, messageType } from '../../../src/dbus/message.ts';
import { defaultOutboxLimits, Outbox } from '../../../src/dbus/outbox.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite('Outbox');

/** Two ends of a connection; what is written at the near end is noted as the very buffers. */
async function withConnection(
  body: (ends: { near: Socket; far: Socket; written: readonly Uint8Array[] }) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-outbox-'));
  const server = createServer().listen(join(directory, 'socket'));
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = createConnection(join(directory, 'socket'));
  const [far] = (await deadline(10_000, accepted, 'the connection')) as [Socket]; // what the server emits
  const written: Uint8Array[] = [];
  const write = near.write.bind(near);
  near.write = (bytes: Uint8Array | string, ...more: never[]) => {
    if (typeof bytes !== 'string') written.push(bytes);
    return write(bytes, ...more);
  };
  try {
    await body({ near, far, written });
  } finally {
    near.destroy();
    far.destroy();
    server.close();
    await rm(directory, { recursive: true });
  }
}

function reply(bytes: Buffer): Message {
  const { reply: type } = messageType;
  return new Message({ type, replySerial: 1, destination: ':1.1', signature: 'ay', body: [bytes] });
}

test('wipes what it holds once the reader has taken it, and no sooner', () =>
  withConnection(async ({ near, far, written }) => {
    let onRoom = () => {};
    const empty = new Promise<void>((resolve) => {
      onRoom = () => {
        if (near.writableLength === 0) resolve();
      };
    });
    using outbox = new Outbox(near, defaultOutboxLimits, () => onRoom());
    // A small one, which shares its writer with the next; one that makes it grow; more than a socket holds.
    const secrets = [32, 32, 40 << 10, 1 << 20, 32].map((size) => randomBytes(size));
    for (const secret of secrets) {
      outbox.add(reply(secret));
      outbox.flush();
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(near.writableLength > 0);
    const held = written.map((bytes) => Buffer.from(bytes)).slice(-2);
    assert.ok(held.every((bytes, at) => bytes.includes(secrets.at(at - 2) ?? '')));

    const came: Buffer[] = [];
    far.on('data', (chunk: Buffer) => came.push(chunk));
    await deadline(10_000, empty, 'the reader');
    near.end();
    await deadline(10_000, once(far, 'end'), 'the end');
    const all = Buffer.concat(came);
    assert.ok(secrets.every((secret) => all.includes(secret)));
    assert.is(written.length, secrets.length);
    assert.ok(written.every((bytes) => bytes.every((byte) => byte === 0)));
  }));

test('leaves nothing in the buffer that messages share', () =>
  withConnection(async ({ near }) => {
    const allocated: Buffer[] = [];
    const allocate = Buffer.allocUnsafe.bind(Buffer);
    Buffer.allocUnsafe = (size) => {
      const buffer = allocate(size);
      allocated.push(buffer);
      return buffer;
    };
    try {
      using outbox = new Outbox(near, defaultOutboxLimits, () => undefined);
      const secret = randomBytes(32);
      outbox.add(reply(secret));
      assert.ok(allocated.some((buffer) => buffer.includes(secret)));
      outbox.flush();
      assert.not(allocated.some((buffer) => buffer.includes(secret)));
    } finally {
      Buffer.allocUnsafe = allocate;
    }
  }));

test.run();
