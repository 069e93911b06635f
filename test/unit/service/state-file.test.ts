import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DamagedFile,
  deleteStateFile,
  destroyStateFile,
  fileNameOf,
  idOfFileName,
  makeStateDirectory,
  readStateFile,
  readStateJson,
  removeLeftovers,
  writeStateFile,
} from '../../../src/service/state-file.ts';

const test = suite<{ dir: string }>('state files');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'service-state-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

async function failure(action: Promise<unknown>): Promise<unknown> {
  return action.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test('are written, replaced and read back, for their owner only', async ({ dir }) => {
  const path = join(dir, 'a.json');
  assert.is(await readStateFile(path), undefined);
  await writeStateFile(path, 'one');
  await writeStateFile(path, Buffer.from('two'));
  assert.is(String(await readStateFile(path)), 'two');
  assert.is((await stat(path)).mode & 0o777, 0o600);
  assert.equal(await readdir(dir), ['a.json']);
});

test('leave the old one and nothing else when a write fails', async ({ dir }) => {
  const path = join(dir, 'a');
  await mkdir(path);
  assert.instance(await failure(writeStateFile(path, 'x')), Error);
  assert.equal(await readdir(dir), ['a']);
});

test('are not followed when they are symbolic links', async ({ dir }) => {
  await writeFile(join(dir, 'target'), 'x');
  await symlink(join(dir, 'target'), join(dir, 'link'));
  assert.instance(await failure(readStateFile(join(dir, 'link'))), Error);
  await writeStateFile(join(dir, 'link'), 'new');
  assert.is(await readFile(join(dir, 'target'), 'utf8'), 'x');
});

test('are damaged when empty, not JSON or refused by the parser, and stay', async ({ dir }) => {
  const path = join(dir, 'a.json');
  const refuse = (): never => {
    throw new Error('no version');
  };
  for (const [text, parse] of [
    ['', String],
    ['{"a":', String],
    ['{}', refuse],
  ] as const) {
    await writeFile(path, text);
    const error = await failure(readStateJson(path, parse));
    assert.instance(error, DamagedFile);
    assert.is(error instanceof DamagedFile && error.path, path);
    assert.is(await readFile(path, 'utf8'), text);
  }
  assert.is(await readStateJson(join(dir, 'absent'), String), undefined);
});

test('never show their content when they are damaged', async ({ dir }) => {
  const path = join(dir, 'a.json');
  await writeFile(path, 's3cret');
  assert.not.match(String(await failure(readStateJson(path, String))), 's3cret');
});

test('are deleted once and for all, and again without failure', async ({ dir }) => {
  const path = join(dir, 'a');
  for (const remove of [deleteStateFile, destroyStateFile]) {
    await writeStateFile(path, 'x');
    await remove(path);
    await remove(path);
    assert.equal(await readdir(dir), []);
  }
});

test('leave no remains of writes that were interrupted', async ({ dir }) => {
  await writeFile(join(dir, '.a.json.0123456789ab.tmp'), 'half');
  await writeFile(join(dir, 'a.json'), 'whole');
  await removeLeftovers(dir);
  await removeLeftovers(join(dir, 'absent'));
  assert.equal(await readdir(dir), ['a.json']);
});

test('are written whole while others look for remains', async ({ dir }) => {
  const path = join(dir, 'a');
  for (let round = 0; round < 20; round++) {
    const content = Buffer.alloc(256 << 10, round + 1);
    const written = writeStateFile(path, content);
    let isOver = false;
    const over = written.finally(() => {
      isOver = true;
    });
    while (!isOver) await removeLeftovers(dir);
    await over;
    assert.ok((await readFile(path)).equals(content), `round ${round}`);
  }
  assert.equal(await readdir(dir), ['a']);
});

test('lie in a directory that only their owner can enter', async ({ dir }) => {
  const path = join(dir, 'a/b');
  await makeStateDirectory(path);
  await chmod(path, 0o755);
  await makeStateDirectory(path);
  assert.is((await stat(path)).mode & 0o777, 0o700);
});

test('have names that are one segment, never hidden, and lead back to the id', () => {
  const long = '$'.repeat(128);
  for (const id of ['device-id', 'iotedge/module/$edgeAgent', 'a:b@2', 'a/b_c.d', long]) {
    const name = fileNameOf(id, '.json');
    assert.match(name, /^[A-Za-z0-9=][^/]*\.json$/);
    assert.ok(Buffer.byteLength(name) <= 255);
    assert.is(idOfFileName(name, '.json'), id);
  }
  assert.throws(() => fileNameOf('../x', '.json'));
  for (const name of ['a.txt', '.json', 'a$b.json', '..json', 'a++b.json', '+a.json']) {
    assert.is(idOfFileName(name, '.json'), undefined);
  }
});

test.run();
