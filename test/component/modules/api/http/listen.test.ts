/** Sockets that cannot be bound. */
import { once } from 'node:events';
import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SocketPlace } from '../../../../../src/modules/api/http/listen.ts';
import { createSocketDirectory, serveSocket } from '../../../../../src/modules/api/http/socket.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { failureOf, messageOf } from '../../../../support/failure.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';

const test = suite<{ directory: string }>('sockets that cannot be bound');
const server = { serve: () => Promise.resolve(), refused: () => undefined, close: () => undefined };

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-listen-'));
});
test.after.each(({ directory }) => rm(directory, { recursive: true }));

/** Whether the process has a descriptor of a directory. */
async function isOpen(directory: string): Promise<boolean> {
  const numbers = await readdir('/proc/self/fd');
  const paths = numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(paths)).includes(directory);
}

const serve = (place: SocketPlace) =>
  deadline(10_000, failureOf(serveSocket(place, server, ownLimits())), 'the failure');

test('leave no file and no descriptor when their mode cannot be set', async ({ directory }) => {
  const mode = -1; // chmod refuses it
  assert.is(await serve({ directory, name: 'w.sock', mode }), 'Unavailable');
  assert.equal(await readdir(directory), []);
  assert.not.ok(await isOpen(directory));
});

test('leave no file and no client when they cannot be kept', async ({ directory }) => {
  const path = join(directory, 'w.sock');
  const clients: Socket[] = [];
  const keep = async (): Promise<void> => {
    const client = connect(path);
    clients.push(client);
    await once(client, 'connect');
    throw new Error('not kept');
  };
  const store = { take: async () => undefined, keep, forget: async () => undefined };
  assert.is(await serve({ directory, name: 'w.sock', mode: 0o600, store }), 'Unavailable');
  assert.equal(await readdir(directory), []);
  assert.not.ok(await isOpen(directory));
  const [client] = clients;
  client?.on('error', () => undefined).resume();
  await until(10_000, 'the client to be disconnected', () => client?.destroyed === true);
});

test('are reported with their directory when that cannot be made', async ({ directory }) => {
  await writeFile(join(directory, 'module'), '');
  const message = await messageOf(createSocketDirectory(directory, 'module'));
  assert.match(message, /^Unavailable: .*\/module" \(EEXIST\): it must be the service's own/);
});

test.run();
