/** The order in which state files are written, flushed and renamed, observed in the calls: what a power failure would leave. */
import { constants } from 'node:fs';
import fs, { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  deleteStateFile,
  destroyStateFile,
  makeStateDirectory,
  removeLeftovers,
  replaceStateFile,
  writeStateFile,
} from '../../../../src/service/state/state-file.ts';

const test = suite<{ dir: string }>('durable writes');

const original = { ...fs };
const paths = new WeakMap<object, string>();

/** The name of a file of the test; of a temporary one only that it is one. */
const nameOf = (path: unknown): string =>
  basename(String(path)).replace(/^\..*\.[0-9a-f]{12}\.tmp$/, 'temporary');

/** Calls are recorded and executed. */
test.before(async () => {
  const handle = await open('/dev/null');
  const prototype: unknown = Object.getPrototypeOf(handle);
  await handle.close();
  // the methods of every file handle
  const methods = prototype as {
    sync: (this: object) => Promise<void>;
    writeFile: (this: object, content: Uint8Array | string) => Promise<void>;
  };
  const { sync, writeFile: write } = methods;
  methods.sync = function () {
    calls.push(`flush ${paths.get(this) ?? '?'}`);
    return sync.call(this);
  };
  methods.writeFile = function (content) {
    const isZeros = content.length > 0 && Buffer.from(content).every((byte) => byte === 0);
    calls.push(`${isZeros ? 'zeros' : 'write'} ${paths.get(this) ?? '?'}`);
    return write.call(this, content);
  };
  Object.assign(fs, {
    open: async (...args: Parameters<typeof open>) => {
      const file = await original.open(...args);
      paths.set(file, nameOf(args[0]));
      if (args[1] === 'wx') calls.push(`create ${nameOf(args[0])} ${Number(args[2]).toString(8)}`);
      return file;
    },
    rename: (from: string, to: string) => {
      calls.push(`rename ${nameOf(from)} ${nameOf(to)}`);
      return original.rename(from, to);
    },
    unlink: (path: string) => {
      calls.push(`unlink ${nameOf(path)}`);
      return original.unlink(path);
    },
  });
  syncBuiltinESMExports();
});
test.after(() => {
  Object.assign(fs, original);
  syncBuiltinESMExports();
});

let calls: string[] = [];
test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'service-durable-'));
  calls = [];
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

const written = (name: string, directory: string): readonly string[] => [
  'create temporary 600',
  'write temporary',
  'flush temporary',
  `rename temporary ${name}`,
  `flush ${basename(directory)}`,
];

test('flush the file before it is renamed, and the directory after that', async ({ dir }) => {
  await writeStateFile(join(dir, 'a'), 'one');
  assert.equal(calls, written('a', dir));
  calls = [];
  await writeStateFile(join(dir, 'a'), 'two');
  assert.equal(calls, written('a', dir));
});

test('flush the directory after a removal, and none without a removal', async ({ dir }) => {
  await writeFile(join(dir, 'a'), 'x');
  await deleteStateFile(join(dir, 'a'));
  assert.equal(calls, ['unlink a', `flush ${basename(dir)}`]);
  calls = [];
  await deleteStateFile(join(dir, 'a'));
  assert.equal(calls, ['unlink a']);
});

test('overwrite and flush a key before it is removed', async ({ dir }) => {
  await writeFile(join(dir, 'a'), 'secret');
  await using reader = await open(join(dir, 'a'));
  await destroyStateFile(join(dir, 'a'));
  assert.equal(calls, ['zeros a', 'flush a', 'unlink a', `flush ${basename(dir)}`]);
  assert.ok((await reader.readFile()).equals(Buffer.alloc(6)));
  assert.equal(await readdir(dir), []);
});

test('overwrite a key only after its replacement was renamed', async ({ dir }) => {
  const path = join(dir, 'a');
  await writeFile(path, 'secret');
  await using reader = await open(path);
  await replaceStateFile(path, Buffer.from('other'));
  assert.equal(calls, [...written('a', dir), 'zeros a', 'flush a']);
  assert.ok((await reader.readFile()).equals(Buffer.alloc(6)));
  assert.is(await readFile(path, 'utf8'), 'other');
  assert.is((await stat(path)).mode & 0o777, 0o600);
  calls = [];
  await replaceStateFile(join(dir, 'b'), Buffer.from('new'));
  assert.equal(calls, written('b', dir));
});

test('overwrite the remains of interrupted writes, which may have been a key', async ({ dir }) => {
  const path = join(dir, '.a.key.0123456789ab.tmp');
  await writeFile(path, 'secret');
  await using reader = await open(path, constants.O_RDONLY);
  await removeLeftovers(dir);
  assert.equal(calls.slice(0, 3), ['zeros temporary', 'flush temporary', 'unlink temporary']);
  assert.ok((await reader.readFile()).equals(Buffer.alloc(6)));
});

test('flush the directories around a new one, up to the one that existed', async ({ dir }) => {
  await makeStateDirectory(join(dir, 'a/b/c'));
  assert.equal(calls, ['flush b', 'flush a', `flush ${basename(dir)}`]);
  calls = [];
  await makeStateDirectory(join(dir, 'a/b/c'));
  assert.equal(calls, []);
});

test.run();
