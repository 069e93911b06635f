import {
  chmod,
  chown,
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
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { isId } from '../../../../src/ids.ts';
import { fileNameOf, idOfFileName } from '../../../../src/service/state/file-name.ts';
import {
  checkVersion,
  DamagedFile,
  deleteStateFile,
  destroyStateFile,
  formatStateJson,
  makeStateDirectory,
  NewerFile,
  openStateDirectory,
  ownerOf,
  readStateFile,
  readStateJson,
  refuseUnusable,
  removeLeftovers,
  UnusableFile,
  writeStateFile,
  writeStateJson,
} from '../../../../src/service/state/state-file.ts';
import { holds } from '../../../support/property.ts';

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

test('are damaged when empty, not JSON or refused by the parser, and are preserved', async ({
  dir,
}) => {
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

test('never expose their content when they are damaged', async ({ dir }) => {
  const path = join(dir, 'a.json');
  await writeFile(path, 's3cret');
  assert.not.match(String(await failure(readStateJson(path, String))), 's3cret');
});

test('can be deleted once more without a failure', async ({ dir }) => {
  const path = join(dir, 'a');
  for (const remove of [deleteStateFile, destroyStateFile]) {
    await writeStateFile(path, 'x');
    await remove(path);
    await remove(path);
    assert.equal(await readdir(dir), []);
  }
});

test('leave no remains of interrupted writes', async ({ dir }) => {
  await writeFile(join(dir, '.a.json.0123456789ab.tmp'), 'half');
  await writeFile(join(dir, 'a.json'), 'whole');
  await removeLeftovers(dir);
  await removeLeftovers(join(dir, 'absent'));
  assert.equal(await readdir(dir), ['a.json']);
});

test('are written whole while other processes remove remains', async ({ dir }) => {
  const path = join(dir, 'a');
  for (let round = 0; round < 20; round++) {
    const content = Buffer.alloc(256 << 10, round + 1);
    let isOver = false;
    const over = failure(writeStateFile(path, content)).finally(() => {
      isOver = true;
    });
    while (!isOver) await removeLeftovers(dir);
    assert.is(await over, undefined);
    assert.ok((await readFile(path)).equals(content), `round ${round}`);
  }
  assert.equal(await readdir(dir), ['a']);
});

test('are in a directory that only their owner can enter', async ({ dir }) => {
  const path = join(dir, 'a/b');
  await makeStateDirectory(path);
  await chmod(path, 0o755);
  await makeStateDirectory(path);
  assert.is((await stat(path)).mode & 0o777, 0o700);
});

test('have names that are one segment, never hidden, and decode to the id', () => {
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

test('have unique names', () => {
  const ids = fc
    .string({ unit: fc.constantFrom(...Array.from('aZ0._$/:@-')), minLength: 1, maxLength: 8 })
    .filter(isId);
  const property = fc.property(ids, (id) => {
    const name = fileNameOf(id, '.key');
    assert.match(name, /^[A-Za-z0-9=][A-Za-z0-9._=+,@-]*\.key$/);
    assert.is(name.length, id.length + 4);
    assert.is(idOfFileName(name, '.key'), id);
  });
  holds(property, 500);
});

/** The files of a newer version of the program, in each format. */
const newer: readonly (readonly [string, string])[] = [
  ['a.json', '{"version":2}'],
  ['a.json', '{"version":1.5,"x":1}\n'],
  ['a.json', '{\n "version": 2\n}\n'],
  ['a.key', '{"version":2}\nsecret'],
];

test('of a newer version are neither replaced, removed nor destroyed', async ({ dir }) => {
  for (const [name, text] of newer) {
    const path = join(dir, name);
    await writeFile(path, text);
    for (const act of [
      () => writeStateFile(path, 'x'),
      () => writeStateJson(path, {}),
      () => writeStateFile(path, 'x', { evenUnreadable: true }),
      () => deleteStateFile(path),
      () => deleteStateFile(path, { evenUnreadable: true }),
      () => destroyStateFile(path),
    ]) {
      const error = await failure(act());
      assert.ok(isServiceError(error, 'Unavailable'), String(error));
      assert.match(error instanceof Error ? error.message : '', 'was written by a newer version');
      assert.is(await readFile(path, 'utf8'), text);
    }
    if (name === 'a.json') assert.instance(await failure(readStateJson(path, String)), NewerFile);
    await writeStateFile(path, 'x', { evenNewer: true });
    assert.is(await readFile(path, 'utf8'), 'x');
    await writeFile(path, text);
    await deleteStateFile(path, { evenNewer: true });
    assert.equal(await readdir(dir), []);
  }
});

test('of this version, without a version and damaged ones may be replaced and removed', async ({
  dir,
}) => {
  const path = join(dir, 'a.json');
  for (const text of ['{"version":1}', '{}', '', '{', 'null', '[2]', '{"version":"2"}']) {
    await writeFile(path, text);
    await writeStateFile(path, 'x');
    assert.is(await readFile(path, 'utf8'), 'x');
    await writeFile(path, text);
    await deleteStateFile(path);
    assert.equal(await readdir(dir), []);
  }
});

test('contain the version of their format first', async ({ dir }) => {
  const path = join(dir, 'a.json');
  await writeStateJson(path, { a: 1 });
  assert.is(await readFile(path, 'utf8'), '{"version":1,"a":1}\n');
  assert.is(formatStateJson({}), '{"version":1}\n');
  assert.equal(await readStateJson(path, (value) => value), { version: 1, a: 1 });
  checkVersion(path, 1);
  checkVersion(path, undefined);
  assert.throws(
    () => checkVersion(path, 2),
    (error: unknown) => error instanceof NewerFile,
  );
});

test('that are unreadable are unusable, report their owner, and are preserved', async ({ dir }) => {
  // root reads everything: for root only a path through a non-directory, or a link, is unreadable
  const path = join(dir, 'link');
  await symlink(join(dir, 'a'), path);
  const error = await failure(readStateFile(path));
  assert.instance(error, DamagedFile);
  assert.not.instance(error, UnusableFile);
  assert.match(String(error), 'cannot be read: ELOOP');
  const wanted = `this service runs as uid ${process.geteuid?.()}`;
  await writeFile(join(dir, 'a'), 'x', { mode: 0o604 });
  assert.match(
    await ownerOf(join(dir, 'a')),
    new RegExp(`it belongs to uid \\d+ with mode 0604, ${wanted}`),
  );
  assert.match(
    await ownerOf(join(dir, 'absent/b')),
    new RegExp(`^${dir} belongs to uid .* 0700, ${wanted}`),
  );
});

test('are Unavailable when they are unusable, and only then', () => {
  const unusable = new UnusableFile('/a', 'of another user');
  const damaged = new DamagedFile('/a', 'it is empty');
  assert.is(unusable.message, '/a is damaged: of another user');
  assert.throws(
    () => refuseUnusable(unusable),
    (error: unknown) => isServiceError(error, 'Unavailable'),
  );
  for (const other of [damaged, undefined, new Error('x')]) refuseUnusable(other);
});

test('are listed without remains when their directory is opened, which is created when missing', async ({
  dir,
}) => {
  const path = join(dir, 'a/b');
  assert.equal(await openStateDirectory(path), { names: [], failure: undefined });
  for (const made of [path, join(dir, 'a')]) assert.is((await stat(made)).mode & 0o777, 0o700);
  await writeFile(join(path, 'x'), '');
  for (const name of ['.x.0123456789ab.tmp', '..0123456789ab.tmp']) {
    await writeFile(join(path, name), 'left');
  }
  const others = ['.reserve-0', '.x.0123456789a.tmp', '.x.0123456789ab.tmp2', 'x.0123456789ab.tmp'];
  for (const name of others) await writeFile(join(path, name), '');
  const { names } = await openStateDirectory(path);
  assert.equal(names.toSorted(), [...others, 'x'].toSorted());
  assert.equal((await readdir(path)).toSorted(), [...others, 'x'].toSorted());
});

test('are refused in a path that is not a directory', async ({ dir }) => {
  await writeFile(join(dir, 'file'), 'x');
  const error = await failure(openStateDirectory(join(dir, 'file')));
  assert.instance(error, DamagedFile);
  assert.is(await readFile(join(dir, 'file'), 'utf8'), 'x');
});

if (process.geteuid?.() === 0) {
  test('are refused in a directory of another user, which is left unchanged', async ({ dir }) => {
    const path = join(dir, 'theirs');
    await mkdir(path, { mode: 0o750 });
    await writeFile(join(path, '.x.0123456789ab.tmp'), 'left');
    await chown(path, 12_345, 0);
    const { names, failure: reason } = await openStateDirectory(path);
    assert.equal(names, []);
    assert.instance(reason, UnusableFile);
    assert.match(String(reason), 'belongs to another user, uid 12345');
    assert.is((await stat(path)).mode & 0o777, 0o750);
    assert.equal(await readdir(path), ['.x.0123456789ab.tmp']);
  });
}

test.run();
