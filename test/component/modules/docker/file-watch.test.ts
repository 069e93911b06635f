import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fileChanged } from '../../../../src/modules/docker/engine/events/file-watch.ts';
import { deadline, soon } from '../../../support/deadline.ts';

const test = suite<{ directory: string }>('file watch');

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-watch-'));
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

const noticed = (change: Promise<void>) => deadline(10_000, change, 'the change');

test('resolves when the socket is created, not when another file is', async ({ directory }) => {
  const path = join(directory, 'docker.sock');
  let resolved = false;
  const change = fileChanged(path, soon()).then(() => {
    resolved = true;
  });
  const another = fileChanged(join(directory, 'another'), soon());
  await writeFile(join(directory, 'another'), '');
  await noticed(another);
  assert.is(resolved, false);
  const server = createServer().listen(path);
  await noticed(change);
  server.close();
});

test('resolves when a missing directory above the socket is created', async ({ directory }) => {
  const change = fileChanged(join(directory, 'podman', 'podman.sock'), soon());
  await Promise.all([noticed(change), mkdir(join(directory, 'podman'))]);
});

test('resolves when the mode of the socket is changed', async ({ directory }) => {
  const path = join(directory, 'docker.sock');
  await writeFile(path, '');
  const change = fileChanged(path, soon());
  await chmod(path, 0o660);
  await noticed(change);
});

test('rejects when the signal aborts', async ({ directory }) => {
  const stop = new AbortController();
  const change = fileChanged(join(directory, 'a', 'docker.sock'), stop.signal);
  stop.abort();
  await noticed(change).then(
    () => assert.unreachable(),
    (error: unknown) => assert.is((error as Error).name, 'AbortError'),
  );
});

test.run();
