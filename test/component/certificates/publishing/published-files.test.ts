/** Certificates as files: whatever is interrupted, and whatever is found there. */
import * as nodeDisk from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Disk,
  PublishedFiles,
} from '../../../../src/certificates/publishing/published-files.ts';
import { failureOf } from '../../../support/failure.ts';

const { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } =
  nodeDisk;
const graceMs = 86_400_000;
const id = 'web/one';
const name = 'web+one';
const [old, renewed] = ['1', '2'].map(
  (text) =>
    new Map([
      ['fullchain.pem', `chain ${text}`],
      ['key.pem', `key ${text}`],
      ['bundle.pem', `bundle ${text}`],
    ]),
) as [Map<string, string>, Map<string, string>];

interface Place {
  /** Removed after each test. */
  top: string;
  directory: string;
  now: Date;
}

const test = suite<Place>('published files');

test.before.each(async (context) => {
  // in memory: every write is flushed
  context.top = await mkdtemp('/dev/shm/iotedge-published-');
  await chmod(context.top, 0o755);
  context.directory = join(context.top, 'published');
  context.now = new Date();
});
test.after.each(({ top }) => rm(top, { recursive: true }));

function filesOf(place: Place, disk?: Disk): PublishedFiles {
  return new PublishedFiles({
    directory: place.directory,
    graceMs,
    now: () => place.now,
    ...(disk && { disk }),
  });
}

/** What a server reads that opens the directory once. */
async function read({ directory }: Place): Promise<ReadonlyMap<string, string>> {
  const version = join(directory, name, await readlink(join(directory, name, 'current')));
  const names = [...old.keys()];
  const texts = names.map(
    async (each) => [each, await readFile(join(version, each), 'utf8')] as const,
  );
  return new Map(await Promise.all(texts));
}

const versionsIn = async ({ directory }: Place): Promise<readonly string[]> =>
  readdir(join(directory, '.staging'));

/** A disk of a process that is killed at the call with this number; `calls` counts them. */
class KilledDisk {
  calls = 0;
  readonly disk: Disk;

  constructor(at: number) {
    const entries = Object.entries(nodeDisk).map(([key, value]: [string, unknown]) => [
      key,
      typeof value !== 'function'
        ? value
        : (...args: readonly unknown[]) => {
            this.calls += 1;
            if (this.calls >= at) return Promise.reject(new Error('killed'));
            return Reflect.apply(value, nodeDisk, args) as unknown;
          },
    ]);
    this.disk = Object.fromEntries(entries) as Disk;
  }
}

async function pass(files: PublishedFiles, content: ReadonlyMap<string, string>): Promise<void> {
  await files.open();
  await files.put(id, content);
  await files.tidy();
}

test('are readable by all, and are not written again', async (place) => {
  const files = filesOf(place);
  await files.open();
  const mask = process.umask(0o077);
  try {
    assert.ok(await files.put(id, old));
  } finally {
    process.umask(mask);
  }
  assert.equal(await read(place), old);
  const home = join(place.directory, name);
  assert.equal(await readdir(home), ['current']);
  const version = join(home, await readlink(join(home, 'current')));
  for (const path of [place.directory, join(place.directory, '.staging'), home, version])
    assert.is((await lstat(path)).mode & 0o7777, 0o755, path);
  for (const file of old.keys())
    assert.is((await lstat(join(version, file))).mode & 0o7777, 0o644, file);
  assert.not.ok(await files.put(id, old));
  assert.equal(await files.open(), [id]);
});

test('are the old ones or the new ones after a kill at any call, and are repaired by the next start', async (place) => {
  for (let at = 1; ; at++) {
    await rm(place.directory, { recursive: true, force: true });
    await pass(filesOf(place), old);
    const killed = new KilledDisk(at);
    const failure = await failureOf(pass(filesOf(place, killed.disk), renewed));
    const found = await read(place);
    const isOld = found.get('key.pem') === old.get('key.pem');
    assert.equal(found, isOld ? old : renewed, `killed at call ${at}`);
    await pass(filesOf(place), renewed);
    assert.equal(await read(place), renewed, `repaired after call ${at}`);
    const left = await versionsIn(place);
    assert.not(
      left.some((one) => one.startsWith('.')),
      'no link is left',
    );
    place.now = new Date(place.now.getTime() + graceMs + 1000);
    await filesOf(place).tidy();
    assert.is((await versionsIn(place)).length, 1, `after call ${at} and the grace period`);
    if (failure === 'no failure') break;
    assert.ok(at < 200, 'the calls come to an end');
  }
});

test('stay for the grace period when they are replaced, however the clock is set', async (place) => {
  const files = filesOf(place);
  await pass(files, old);
  place.now = new Date(place.now.getTime() + 10 * graceMs);
  await pass(files, renewed);
  assert.is((await versionsIn(place)).length, 2);
  place.now = new Date(place.now.getTime() + graceMs - 1000);
  await files.tidy();
  assert.is((await versionsIn(place)).length, 2);
  place.now = new Date(0);
  await files.tidy();
  place.now = new Date(graceMs - 1);
  await files.tidy();
  assert.is((await versionsIn(place)).length, 2, 'it began again');
  place.now = new Date(graceMs);
  await files.tidy();
  assert.is((await versionsIn(place)).length, 1);
  assert.equal(await read(place), renewed);
});

test('are bounded in number', async (place) => {
  const files = filesOf(place);
  for (let at = 0; at < 12; at++) {
    await pass(files, new Map([...old, ['key.pem', `key ${at}`]]));
    place.now = new Date(place.now.getTime() + 1000);
  }
  assert.is((await versionsIn(place)).length, 9);
  assert.is((await read(place)).get('key.pem'), 'key 11');
});

test('go with the certificate, and what else is in its directory stays', async (place) => {
  const files = filesOf(place);
  await pass(files, old);
  assert.ok(await files.remove(id));
  await files.tidy();
  assert.equal([await readdir(place.directory), await versionsIn(place)], [['.staging'], []]);
  await pass(files, old);
  const note = join(place.directory, name, 'note');
  await writeFile(note, 'of an administrator');
  await files.remove(id);
  assert.equal(await readdir(join(place.directory, name)), ['note']);
  assert.not.ok(await files.remove(id));
});

const damages: readonly (readonly [string, (place: Place, version: string) => Promise<void>])[] = [
  ['a changed file', (_, version) => writeFile(join(version, 'key.pem'), 'kez 1')],
  ['a missing file', (_, version) => rm(join(version, 'key.pem'))],
  ['one file more', (_, version) => writeFile(join(version, 'other'), '')],
  ['a file that others may write', (_, version) => chmod(join(version, 'key.pem'), 0o666)],
  ['a file that others cannot read', (_, version) => chmod(join(version, 'key.pem'), 0o600)],
  ['a file of another user', (_, version) => chown(join(version, 'key.pem'), 1, 1)],
  [
    'a link to a file in place of one',
    async ({ top }, version) => {
      await writeFile(join(top, 'equal'), 'key 1', { mode: 0o644 });
      await rm(join(version, 'key.pem'));
      await symlink(join(top, 'equal'), join(version, 'key.pem'));
    },
  ],
  ['a version that others cannot enter', (_, version) => chmod(version, 0o700)],
  ['no version', (_, version) => rm(version, { recursive: true })],
  ['no link', ({ directory }) => rm(join(directory, name, 'current'))],
  [
    'a link to elsewhere',
    async ({ directory, top }) => {
      await rm(join(directory, name, 'current'));
      await symlink(top, join(directory, name, 'current'));
    },
  ],
  [
    "a link to another certificate's version",
    async (place) => {
      await filesOf(place).put('other', old);
      const target = await readlink(join(place.directory, 'other', 'current'));
      await rm(join(place.directory, name, 'current'));
      await symlink(target, join(place.directory, name, 'current'));
    },
  ],
  [
    'a directory in place of the link',
    async ({ directory }) => {
      await rm(join(directory, name, 'current'));
      await mkdir(join(directory, name, 'current', 'full'), { recursive: true });
    },
  ],
  ['a directory that others cannot enter', ({ directory }) => chmod(join(directory, name), 0o700)],
];

for (const [what, damage] of damages) {
  test(`are repaired where ${what} is found`, async (place) => {
    const files = filesOf(place);
    await pass(files, old);
    const home = join(place.directory, name);
    await damage(place, join(home, await readlink(join(home, 'current'))));
    await pass(files, old);
    assert.equal(await read(place), old);
    assert.is((await lstat(home)).mode & 0o7777, 0o755);
    const version = join(home, await readlink(join(home, 'current')));
    assert.match(
      await readlink(join(home, 'current')),
      /^\.\.\/\.staging\/web\+one\.[0-9a-f]{16}$/,
    );
    const { mode, uid } = await lstat(join(version, 'key.pem'));
    assert.equal({ mode: mode & 0o7777, uid }, { mode: 0o644, uid: process.geteuid?.() });
    assert.ok((await lstat(join(version, 'key.pem'))).isFile());
  });
}

test('replace links where directories belong, and leave what they lead to', async (place) => {
  const files = filesOf(place);
  await files.open();
  const victim = join(place.top, 'victim');
  await mkdir(victim, { mode: 0o700 });
  await writeFile(join(victim, 'kept'), '');
  for (const at of [name, '.staging']) {
    await rm(join(place.directory, at), { recursive: true, force: true });
    await symlink(victim, join(place.directory, at));
  }
  await symlink(victim, join(place.directory, 'other'));
  assert.equal(await files.open(), []);
  await symlink(victim, join(place.directory, '.staging', 'web.0123456789abcdef'));
  await symlink(victim, join(place.directory, '.staging', '...0123456789abcdef'));
  await pass(files, old);
  assert.equal(await read(place), old);
  assert.equal([await readdir(victim), (await lstat(victim)).mode & 0o7777], [['kept'], 0o700]);
  assert.equal((await readdir(place.directory)).sort(), ['.staging', 'other', name]);
  assert.is((await versionsIn(place)).length, 1);
});

test('are not written where other users could replace them or cannot reach them', async (place) => {
  const codeOf = () => failureOf(filesOf(place).open());
  assert.is(await codeOf(), 'no failure');
  await chown(place.directory, 1, 1);
  assert.is(await codeOf(), 'Unavailable', 'of another user');
  await chown(place.directory, process.geteuid?.() ?? 0, 0);
  for (const [mode, what] of [
    [0o777, 'may be replaced'],
    [0o700, 'cannot be reached'],
  ] as const) {
    await chmod(place.top, mode);
    assert.is(await codeOf(), 'Unavailable', what);
    await chmod(place.top, 0o755);
  }
  await chown(place.top, 1, 1);
  assert.is(await codeOf(), 'Unavailable', "below another user's directory");
  await chown(place.top, process.geteuid?.() ?? 0, 0);
  await rm(place.directory, { recursive: true });
  await symlink(place.top, place.directory);
  assert.is(await codeOf(), 'Unavailable', 'a link');
});

test.run();
