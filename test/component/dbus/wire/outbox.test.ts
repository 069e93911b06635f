import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  defaultOutboxLimits,
  Outbox,
  type OutboxListener,
} from '../../../../src/dbus/wire/connection.ts';
import { Message, messageType } from '../../../../src/dbus/wire/message.ts';
import { deadline, until } from '../../../support/deadline.ts';

const test = suite('Outbox');

/** Two ends of a connection; records the buffers that are written at the near end. */
async function withConnection(
  body: (ends: { near: Socket; far: Socket; written: readonly Uint8Array[] }) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-outbox-'));
  const server = createServer().listen(join(directory, 'socket'));
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = createConnection(join(directory, 'socket'));
  const [far] = (await deadline(10_000, accepted, 'the connection')) as [Socket]; // emitted by the server
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

const quiet: OutboxListener = { room: () => undefined, stall: () => undefined };

test('wipes its buffers once the reader has received them, and no sooner', () =>
  withConnection(async ({ near, far, written }) => {
    using outbox = new Outbox(near, defaultOutboxLimits, quiet);
    const secrets = [32, 40 << 10, 1 << 20, 32].map((size) => randomBytes(size));
    for (const secret of secrets) {
      assert.ok(outbox.add(reply(secret)) > secret.length);
      await new Promise((resolve) => setImmediate(resolve)); // one at a time
    }
    assert.ok(outbox.queuedBytes > 0, 'more than a socket holds');
    assert.ok(written.at(-1)?.some((byte) => byte !== 0));

    const came: Buffer[] = [];
    far.on('data', (chunk: Buffer) => came.push(chunk));
    await deadline(10_000, outbox.finish(), 'the reader');
    assert.is(outbox.queuedBytes, 0);
    near.end();
    await deadline(10_000, once(far, 'end'), 'the end');
    const all = Buffer.concat(came);
    assert.ok(secrets.every((secret) => all.includes(secret)));
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
      using outbox = new Outbox(near, defaultOutboxLimits, quiet);
      const secret = randomBytes(32);
      outbox.add(reply(secret));
      assert.ok(allocated.some((buffer) => buffer.includes(secret)));
      await deadline(10_000, outbox.finish(), 'the socket');
      assert.not(allocated.some((buffer) => buffer.includes(secret)));
    } finally {
      Buffer.allocUnsafe = allocate;
    }
  }));

test('wipes unsent messages when it is disposed of', () =>
  withConnection(async ({ near, written }) => {
    const outbox = new Outbox(near, defaultOutboxLimits, quiet);
    outbox.add(reply(randomBytes(4 << 20)));
    await new Promise((resolve) => setImmediate(resolve));
    outbox.add(reply(randomBytes(100)));
    near.destroy();
    outbox[Symbol.dispose]();
    assert.is(outbox.queuedBytes, 0);
    const last = written.at(-1);
    assert.ok(last !== undefined && last.every((byte) => byte === 0));
  }));

test('reports a reader that stops reading, and one that resumes', () =>
  withConnection(async ({ near, far }) => {
    const reports: boolean[] = [];
    const limits = { queuedBytes: 1 << 20, stallMs: 200, lostMs: 1_000_000 };
    const stall = (again: boolean): void => void reports.push(again);
    using outbox = new Outbox(near, limits, { ...quiet, stall });
    outbox.add(reply(randomBytes(4 << 20)));
    await until(15_000, 'the report', () => reports.length === 1);
    assert.ok(outbox.isFull);
    far.resume();
    await deadline(10_000, outbox.finish(), 'the reader');
    assert.equal([reports[0], reports.at(-1)], [false, true]);
  }));

test('gives up a reader that reads nothing for too long, and not one that reads slowly', () =>
  withConnection(async ({ near, far }) => {
    const limits = { queuedBytes: 1 << 20, stallMs: 200, lostMs: 2000 };
    const reports: boolean[] = [];
    const stall = (again: boolean): void => void reports.push(again);
    using outbox = new Outbox(near, limits, { ...quiet, stall });
    let failure: Error | undefined;
    near.on('error', (error) => {
      failure = error;
    });
    outbox.add(reply(randomBytes(16 << 20)));
    const before = outbox.queuedBytes;
    for (let piece = 0; piece < 60; piece++) {
      await new Promise((resolve) => void setTimeout(resolve, 50));
      far.read();
    }
    assert.is(failure, undefined);
    assert.ok(outbox.queuedBytes < before);
    await until(15_000, 'the end', () => failure !== undefined);
    assert.match(failure?.message ?? '', 'accepted nothing for 2 s');
    await new Promise((resolve) => setImmediate(resolve));
    assert.is(reports.at(-1), false, 'it does not take what was given up');
  }));

test.run();
