import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  cachedCode,
  cachePathOf,
  seal,
  thisNode,
  unseal,
} from '../../../src/launcher/code-cache.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite<{ dir: string }>('the code cache of a bundle');

const source = Buffer.from('exports.answer = 42;');
const code = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * at) % 251));
const sealed = seal(code, source);
const [otherUser, thirdUser] = [65_533, 65_532];

const rootTest = (name: string, run: (context: { dir: string }) => Promise<void>): void =>
  process.getuid?.() === 0 ? test(name, run) : test.skip(name, run);

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-code-cache-'));
  await mkdir(join(context.dir, 'lib'), { mode: 0o755 });
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

/** The bundle of a test, with a cache that fits. */
async function bundleIn(dir: string) {
  const path = join(dir, 'lib/program.cjs');
  const cache = cachePathOf(path);
  await writeFile(cache, sealed, { mode: 0o644 });
  const bundle = { path, owner: process.getuid?.() ?? 0, source };
  return { bundle, cache, folder: join(dir, 'lib') };
}

test('returns the code for the same bundle and Node', () => {
  assert.equal(unseal(sealed, source), code);
});

test('refuses a cache with one flipped bit, at any of 200 places', () => {
  const inDigest = Array.from({ length: 32 }, (_, at) => at);
  const spread = Array.from({ length: 168 }, (_, at) => 32 + Math.floor((at * code.length) / 168));
  for (const place of [...inDigest, ...spread, sealed.length - 1]) {
    const changed = Buffer.from(sealed);
    changed.writeUInt8(changed.readUInt8(place) ^ (1 << (place % 8)), place);
    assert.is(unseal(changed, source), undefined, `bit ${place % 8} of byte ${place}`);
  }
});

test('refuses a cache that is truncated, empty or longer', () => {
  for (const length of [0, 1, 31, 32, 33, sealed.length - 1])
    assert.is(unseal(sealed.subarray(0, length), source), undefined, `${length} bytes`);
  assert.is(unseal(Buffer.concat([sealed, Buffer.of(0)]), source), undefined);
  assert.is(unseal(seal(Buffer.alloc(0), source), source), undefined);
});

test('refuses a cache of another bundle of equal length', () => {
  assert.is(unseal(sealed, Buffer.from('exports.answer = 43;')), undefined);
});

test('refuses a cache that another Node has made', () => {
  const other = 'v20.20.1 x64 1 1';
  assert.is(unseal(seal(code, source, other), source), undefined);
  assert.equal(unseal(seal(code, source, other), source, other), code);
});

test('tells a Node from one of the same version that was built again', async ({ dir }) => {
  const program = join(dir, 'node');
  await writeFile(program, 'one');
  await utimes(program, 1, 1);
  const before = thisNode(program);
  await utimes(program, 1, 2);
  const later = thisNode(program);
  await writeFile(program, 'other');
  await utimes(program, 1, 1);
  assert.is(new Set([before, later, thisNode(program)]).size, 3);
  assert.ok(before.startsWith(`${process.version} ${process.arch} `));
});

test('is read from beside the bundle', async ({ dir }) => {
  const { bundle, cache } = await bundleIn(dir);
  assert.equal(cachedCode(bundle), code);
  await rm(cache);
  assert.is(cachedCode(bundle), undefined);
  await mkdir(cache);
  assert.is(cachedCode(bundle), undefined);
});

test('is not used when others may write it, or beside it', async ({ dir }) => {
  const { bundle, cache, folder } = await bundleIn(dir);
  for (const [path, good, bad] of [
    [cache, 0o644, [0o664, 0o646]],
    [folder, 0o755, [0o775, 0o757, 0o1777]],
  ] as const) {
    for (const mode of bad) {
      await chmod(path, mode);
      assert.is(cachedCode(bundle), undefined, `${path} ${mode.toString(8)}`);
    }
    await chmod(path, good);
    assert.equal(cachedCode(bundle), code);
  }
});

test('is not used through a link', async ({ dir }) => {
  const { bundle, cache, folder } = await bundleIn(dir);
  await rename(cache, `${cache}.moved`);
  await symlink(`${cache}.moved`, cache);
  assert.is(cachedCode(bundle), undefined);
  await rename(`${cache}.moved`, cache);
  assert.equal(cachedCode(bundle), code);
  await rename(folder, `${folder}.moved`);
  await symlink(`${folder}.moved`, folder);
  assert.is(cachedCode(bundle), undefined);
});

rootTest('is only used when root or the owner of the bundle owns it', async ({ dir }) => {
  const { bundle, cache, folder } = await bundleIn(dir);
  for (const path of [cache, folder]) {
    await chown(path, otherUser, otherUser);
    assert.is(cachedCode(bundle), undefined, path);
    assert.is(cachedCode({ ...bundle, owner: thirdUser }), undefined, path);
    assert.equal(cachedCode({ ...bundle, owner: otherUser }), code, path);
    await chown(path, 0, 0);
    assert.equal(cachedCode({ ...bundle, owner: otherUser }), code, path);
  }
});

test.run();
