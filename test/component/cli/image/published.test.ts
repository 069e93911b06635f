import {
  chmod,
  chown,
  lchown,
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
import { PublishedFiles } from '../../../../src/certificates/publishing/published-files.ts';
import { countPublished, removePublished } from '../../../../src/cli/image/published.ts';
import { codeOf } from '../../../support/failure.ts';

const test = suite<{ top: string; published: string }>('removal of published certificates');
const other = 4711;

test.before.each(async (context) => {
  context.top = await mkdtemp('/tmp/iotedge-image-');
  await chmod(context.top, 0o755);
  context.published = join(context.top, 'published');
});
test.after.each(({ top }) => rm(top, { recursive: true }));

/** Publishes two certificates, one of them twice; all files are this process's. */
async function publish(directory: string): Promise<void> {
  const files = new PublishedFiles({ directory, graceMs: 1000, now: () => new Date() });
  await files.open();
  for (const [id, text] of [
    ['web', 'former'],
    ['web', 'present'],
    ['a/b', 'present'],
  ] as const) {
    await files.put(id, new Map([['fullchain.pem', text]]));
  }
}

test('leaves nothing of what the service has published, also of former versions', async ({
  published,
}) => {
  await publish(published);
  assert.is(countPublished(published, 0), 2 * 2 + 1 + 3 * 2);
  const chain = join(published, 'web/current/fullchain.pem');
  await using kept = await open(chain);
  removePublished(published, 0);
  assert.equal(await readdir(published), []);
  assert.is(String(await kept.readFile()), '\0'.repeat('present'.length));
  assert.is(countPublished(published, 0), 0);
});

test('leaves what another user has put there, and follows no link', async ({ top, published }) => {
  await publish(published);
  await mkdir(join(published, 'lost+found'));
  await chown(join(published, 'lost+found'), other, other);
  await writeFile(join(published, 'notes'), 'kept');
  await chown(join(published, 'notes'), other, other);
  await mkdir(join(top, 'elsewhere'));
  await writeFile(join(top, 'elsewhere/file'), 'kept');
  await symlink(join(top, 'elsewhere'), join(published, 'link'));
  removePublished(published, 0);
  assert.equal(await readdir(published), ['lost+found', 'notes']);
  assert.is(await readFile(join(top, 'elsewhere/file'), 'utf8'), 'kept');
});

test('fails, and removes nothing, where another user has certificates', async ({ published }) => {
  await publish(published);
  const before = await readdir(published, { recursive: true });
  await mkdir(join(published, 'zz'));
  await symlink('../.staging/zz.0', join(published, 'zz/current'));
  for (const path of [join(published, 'zz'), join(published, '.staging'), published]) {
    await chown(path, other, other);
    for (const act of [countPublished, removePublished]) {
      assert.is(
        codeOf(() => act(published, 0)),
        'Failed',
        path,
      );
      assert.is(
        codeOf(() => act(published, undefined)),
        'Failed',
        path,
      );
    }
    await lchown(path, 0, 0);
  }
  const after = await readdir(published, { recursive: true });
  assert.equal(after.filter((name) => !name.startsWith('zz')).sort(), before.sort());
});

test('does nothing where the service has published nothing', async ({ top, published }) => {
  assert.is(countPublished(published, 0), 0);
  removePublished(published, 0);
  await mkdir(join(published, 'web'), { recursive: true });
  await chown(published, other, other);
  await writeFile(join(published, 'web/key.pem'), 'kept');
  removePublished(published, 0);
  assert.is(await readFile(join(published, 'web/key.pem'), 'utf8'), 'kept');
  await writeFile(join(top, 'file'), 'kept');
  removePublished(join(top, 'file'), 0);
  assert.is(await readFile(join(top, 'file'), 'utf8'), 'kept');
});

test('refuses a directory that others can replace', async ({ top, published }) => {
  await publish(published);
  await chmod(top, 0o777);
  assert.is(
    codeOf(() => removePublished(published, 0)),
    'AccessDenied',
  );
});

test.run();
