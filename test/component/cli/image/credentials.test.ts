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
import { credentialFiles, removeCredential } from '../../../../src/cli/image/credentials.ts';

const test = suite<{ dir: string; store: string }>('credentials of the services');

test.before.each(async (context) => {
  context.dir = await mkdtemp('/tmp/iotedge-image-');
  context.store = join(context.dir, 'credstore');
  await chmod(context.dir, 0o755);
  await mkdir(context.store);
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

test('are the files that units load, and those with a name of ours', async ({ dir, store }) => {
  for (const name of ['iotedge-keys.old', 'own', 'foreign']) {
    await writeFile(join(store, name), '1234');
  }
  await writeFile(join(dir, 'pin'), '1234');
  await symlink(join(dir, 'pin'), join(store, 'linked'));
  await mkdir(join(dir, 'pins/deep'), { recursive: true });
  await writeFile(join(dir, 'pins/deep/one'), '1234');
  const loaded = ['iotedge-keys.pin', 'own', 'linked', join(dir, 'absent'), join(dir, 'pins')];
  assert.equal(credentialFiles(loaded, [store, join(dir, 'no-store')]), [
    join(store, 'iotedge-keys.old'),
    join(store, 'linked'),
    join(store, 'own'),
    join(dir, 'pin'),
    join(dir, 'pins/deep/one'),
  ]);
});

test('are overwritten and removed, links too', async ({ dir, store }) => {
  const path = join(store, 'iotedge-keys.pin');
  await writeFile(join(dir, 'pin'), '1234');
  await symlink(join(dir, 'pin'), path);
  await using kept = await open(path);
  for (const file of credentialFiles([], [store])) removeCredential(file);
  assert.equal(await readdir(store), []);
  assert.equal(await readdir(dir), ['credstore']);
  assert.equal(await kept.readFile(), Buffer.alloc(4));
  removeCredential(path); // which is gone
});

test('stay when they have another name, or lie where others can write', async ({ dir, store }) => {
  const path = join(store, 'iotedge-keys.pin');
  await writeFile(path, '1234');
  await link(path, join(dir, 'another'));
  assert.throws(() => removeCredential(path), /another name/);
  await rm(join(dir, 'another'));
  await chmod(store, 0o777);
  assert.throws(() => removeCredential(path), /others can write/);
  assert.is(await readFile(path, 'utf8'), '1234');
});

test.run();
