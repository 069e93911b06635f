import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Authentication } from '../../../../src/dbus/wire/authenticate.ts';
import { deadline } from '../../../support/deadline.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('authentication with a bus');

/** The outcome with a bus that sends these lines, one per request, and the bytes that the bus received. */
async function ending(
  ...replies: readonly string[]
): Promise<{ readonly outcome: string; readonly sent: string; readonly isClosed: boolean }> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-authenticate-'));
  const server = createServer().listen(join(directory, 'bus'));
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = createConnection(join(directory, 'bus'));
  near.on('error', () => undefined);
  const authentication = new Authentication(near, AbortSignal.timeout(10_000));
  near.on('data', (bytes: Buffer) => authentication.receive(bytes));
  const [far] = (await deadline(10_000, accepted, 'the connection')) as [Socket]; // emitted by the server
  let sent = '';
  let count = 0;
  const end = once(far, 'end');
  far.on('data', (bytes: Buffer) => {
    sent += bytes.toString('latin1');
    const next = replies[count++];
    if (next !== undefined) far.write(next);
  });
  try {
    const outcome = await authentication.done.then(
      () => 'authenticated',
      (error: Error) => error.message,
    );
    const isClosed = near.destroyed;
    near.end();
    await deadline(10_000, end, 'the end');
    return { outcome, sent, isClosed };
  } finally {
    near.destroy();
    far.destroy();
    server.close();
    await rm(directory, { recursive: true });
  }
}

const uid = Buffer.from(String(process.getuid?.())).toString('hex');
const hello = `\0AUTH EXTERNAL ${uid}\r\nNEGOTIATE_UNIX_FD\r\n`;

test('uses the uid of the process, and completes when both lines have a reply', async () => {
  for (const second of ['AGREE_UNIX_FD\r\n', 'ERROR\r\n', 'ERROR not here\r\n']) {
    const { outcome, sent, isClosed } = await ending('OK 1234\r\n', second);
    assert.equal([outcome, sent, isClosed], ['authenticated', `${hello}BEGIN\r\n`, false]);
  }
});

test('fails, and sends nothing more, on any other reply of the bus', async () => {
  const refusals = [
    ['REJECTED EXTERNAL\r\n'],
    ['DATA\r\n'],
    ['OKAY\r\n'],
    ['\r\n'],
    ['OK 1234\r\nAGREE_UNIX_FD\r\n'],
    ['OK 1234\r\n', 'OK 1234\r\n'],
    ['OK 1234\r\n', 'AGREE_UNIX_FDS\r\n'],
    ['OK 1234\r\n', 'REJECTED EXTERNAL\r\n'],
    ['OK 1234\r\n', 'AGREE_UNIX_FD\r\nl\x02'],
  ];
  for (const replies of refusals) {
    const { outcome, sent, isClosed } = await ending(...replies);
    assert.match(outcome, 'the bus refused authentication', replies.join());
    assert.not.match(sent, 'BEGIN', replies.join());
    assert.ok(isClosed, replies.join());
  }
});

test('reads a line of 16 KiB at most', async () => {
  const { outcome, isClosed } = await ending('O'.repeat((16 << 10) + 1));
  assert.equal([outcome, isClosed], ['the reply of the bus is too long', true]);
  const long = await ending(`OK ${'0'.repeat((16 << 10) - 5)}\r\n`, 'AGREE_UNIX_FD\r\n');
  assert.is(long.outcome, 'authenticated');
});

test('fails at once after the deadline', async () => {
  const near = createConnection(join(tmpdir(), 'iotedge-no-bus'));
  near.on('error', () => undefined);
  const { done } = new Authentication(near, AbortSignal.abort());
  const failure: unknown = await deadline(10_000, done, 'the end').catch((error: unknown) => error);
  assert.match(String(failure), 'no reply in time');
  assert.ok(near.destroyed);
});

test.run();
