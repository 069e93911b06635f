import { lstat, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { serveHostSockets } from '../../../../../src/modules/api/sockets/host-sockets.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { type LogLine, recordingLog } from '../../../../support/log.ts';
import { requestOn } from '../../../../support/workload/api.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite<{ dir: string }>('sockets for programs of this machine');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'host-sockets-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

const pathsIn = (dir: string) => ({ management: join(dir, 'm'), workload: join(dir, 'w') });

async function serve(dir: string, gid: number | undefined) {
  const lines: LogLine[] = [];
  const served = await serveHostSockets(pathsIn(dir), {
    connections: ownLimits(),
    servers: {},
    sockets: { take: () => undefined, takeAll: () => [] },
    log: recordingLog((line) => void lines.push(line)),
    accounts: { gid: () => Promise.resolve(gid) },
  });
  return { served, lines };
}

test('admit the group of managers to one, and everybody to the other', async ({ dir }) => {
  const { served, lines } = await serve(dir, 4711);
  const [management, workload] = [await lstat(join(dir, 'm')), await lstat(join(dir, 'w'))];
  await served[Symbol.asyncDispose]();
  assert.is(management.gid, 4711);
  assert.is(management.mode & 0o777, 0o660);
  assert.is(workload.mode & 0o777, 0o666);
  assert.equal(lines, []);
});

test('are served without the group, which is reported', async ({ dir }) => {
  const { served, lines } = await serve(dir, undefined);
  const { status } = await deadline(5000, requestOn(join(dir, 'm'), 'GET', '/modules'), 'a reply');
  await served[Symbol.asyncDispose]();
  assert.is(status, 503);
  assert.is(lines.length, 1);
  assert.is(lines[0]?.fields['group'], 'iotedge-admin');
});

test('are closed all at once, whatever their requests wait for', async ({ dir }) => {
  const { served } = await serve(dir, 4711);
  using busy = new RawClient(join(dir, 'w'));
  // the second one, which does not end, is read with the first
  busy.send(`${rawRequest('GET /')}POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n`);
  assert.match((await busy.response()).statusLine, '503');
  const body = setInterval(() => busy.send('x'), 50);
  try {
    const closed = Promise.resolve(served[Symbol.asyncDispose]());
    await until(10_000, 'the other socket to be closed', async () => {
      const reply = requestOn(join(dir, 'm'), 'GET', '/');
      return reply.then(
        () => false,
        () => true,
      );
    });
    assert.not.ok(busy.socket.readableEnded || busy.errorCode !== undefined);
    await deadline(10_000, closed, 'the end');
  } finally {
    clearInterval(body);
  }
});

test('replace neither a file nor the socket of another process', async ({ dir }) => {
  await writeFile(join(dir, 'm'), 'content');
  const other = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => other.listen(join(dir, 'w'), resolve));
  const { served, lines } = await serve(dir, undefined);
  await served[Symbol.asyncDispose]();
  const remains = await lstat(join(dir, 'w')).then(
    () => true,
    () => false,
  );
  other.close();
  assert.ok(remains);
  assert.is(await readFile(join(dir, 'm'), 'utf8'), 'content');
  assert.equal(
    lines.map(({ level, fields }) => [level, fields['api'], fields['advice']]),
    [
      ['warn', 'management', 'systemctl start iotedge-modules-management.socket'],
      ['warn', 'workload', 'systemctl start iotedge-modules-workload.socket'],
    ],
  );
  assert.match(JSON.stringify(lines), 'another process listens');
});

test.run();
