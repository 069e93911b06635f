import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { countFiles, emptyDirectory } from '../../../../src/cli/image/empty-directory.ts';

const test = suite<{ dir: string }>('removal of state');

test.before.each(async (context) => {
  context.dir = await mkdtemp('/tmp/iotedge-image-');
  await chmod(context.dir, 0o755);
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

test('overwrites each file and leaves the directory', async ({ dir }) => {
  const state = join(dir, 'keys');
  await mkdir(join(state, 'keys/deep'), { recursive: true });
  const path = join(state, 'keys/deep/a.json');
  await writeFile(path, 'secret '.repeat(20_000));
  await writeFile(join(state, 'b'), '');
  assert.is(countFiles(state, 0), 4);
  await using kept = await open(path);
  emptyDirectory(state, 0);
  assert.equal(await readdir(state), []);
  assert.is(countFiles(state, 0), 0);
  const left = await kept.readFile();
  assert.is(left.length, 140_000);
  assert.ok(left.every((byte) => byte === 0));
});

test('follows no link, and leaves a file under its other names', async ({ dir }) => {
  const state = join(dir, 'keys');
  await mkdir(state);
  await mkdir(join(dir, 'other'));
  for (const name of ['a', 'b']) await writeFile(join(dir, 'other', name), 'kept');
  await symlink(join(dir, 'other/a'), join(state, 'file'));
  await symlink(join(dir, 'other'), join(state, 'directory'));
  await link(join(dir, 'other/b'), join(state, 'hard'));
  emptyDirectory(state, 0);
  assert.equal(await readdir(state), []);
  for (const name of ['a', 'b']) {
    assert.is(await readFile(join(dir, 'other', name), 'utf8'), 'kept');
  }
});

test('does nothing where there is no state', ({ dir }) => {
  assert.is(countFiles(join(dir, 'absent'), 0), 0);
  emptyDirectory(join(dir, 'absent'), 0);
});

test('leaves no file whose name is not UTF-8', async ({ dir }) => {
  const below = Buffer.from(`${dir}/\xff`, 'latin1');
  await mkdir(below);
  await writeFile(Buffer.concat([below, Buffer.from('/\xfe', 'latin1')]), 'secret');
  assert.is(countFiles(dir, 0), 2);
  emptyDirectory(dir, 0);
  assert.equal(await readdir(dir), []);
});

test('leaves the holes of a file, which could take more than the disk has', async ({ dir }) => {
  const path = join(dir, 'sparse');
  await writeFile(path, 'secret '.repeat(1000));
  await using kept = await open(path, 'r+');
  await kept.truncate(2 ** 38);
  const { blocks } = await kept.stat();
  emptyDirectory(dir, 0);
  assert.ok((await kept.stat()).blocks <= blocks + 256);
  const { buffer } = await kept.read({ position: 0, length: 7000 });
  assert.ok(buffer.subarray(0, 7000).every((byte) => byte === 0));
});

test('refuses what another user has, and has no state in it, and leaves it', async ({ dir }) => {
  await writeFile(join(dir, 'other'), 'kept');
  for (const act of [countFiles, emptyDirectory]) {
    assert.throws(() => act(dir, 4711), /is not the state of a service/);
  }
  assert.equal(await readdir(dir), ['other']);
});

test('ends with a failure far before the descriptors do', async ({ dir }) => {
  await mkdir(join(dir, 'a/'.repeat(100)), { recursive: true });
  assert.throws(() => emptyDirectory(dir, 0), /deeper than 64 directories/);
  assert.equal(await readdir(dir), ['a']);
});

test.run();
