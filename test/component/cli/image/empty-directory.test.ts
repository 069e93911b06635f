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
  assert.is(countFiles(state), 2);
  await using kept = await open(path);
  emptyDirectory(state);
  assert.equal(await readdir(state), []);
  assert.is(countFiles(state), 0);
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
  emptyDirectory(state);
  assert.equal(await readdir(state), []);
  for (const name of ['a', 'b']) {
    assert.is(await readFile(join(dir, 'other', name), 'utf8'), 'kept');
  }
});

test('does nothing where there is no state', ({ dir }) => {
  assert.is(countFiles(join(dir, 'absent')), undefined);
  emptyDirectory(join(dir, 'absent'));
});

test.run();
