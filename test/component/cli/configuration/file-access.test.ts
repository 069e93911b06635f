import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findUser, obstacleTo } from '../../../../src/cli/configuration/file-access.ts';

const test = suite<{ dir: string }>('file access');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-readers-'));
  await chmod(context.dir, 0o755);
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

test('knows the users of this machine with their groups', async () => {
  assert.equal(await findUser('nobody-here'), undefined);
  const root = await findUser('root');
  assert.is(root?.uid, 0);
  assert.ok(root?.gids.includes(0));
  const daemon = await findUser('daemon');
  assert.equal([daemon?.uid, daemon?.gids.includes(1)], [1, true]);
});

const reader = { name: 'reader', uid: 12_345, gids: [23_456, 34_567] };

if (process.geteuid?.() === 0) {
  /** Owner, group and mode of a file, and whether the reader can read it. */
  const cases: readonly (readonly [number, number, number, boolean])[] = [
    [12_345, 0, 0o400, true],
    [12_345, 0, 0o200, false],
    // what the owner is denied, group and others do not grant
    [12_345, 23_456, 0o044, false],
    [0, 23_456, 0o040, true],
    [0, 34_567, 0o040, true],
    [0, 23_456, 0o404, false],
    [0, 0, 0o004, true],
    [0, 0, 0o440, false],
    [0, 0, 0o002, false],
  ];
  test('checks a file by owner, group and others, the first that applies', async ({ dir }) => {
    const path = join(dir, 'a');
    await writeFile(path, '');
    for (const [uid, gid, mode, isReadable] of cases) {
      await chown(path, uid, gid);
      await chmod(path, mode);
      const expected = isReadable ? undefined : path;
      assert.is(await obstacleTo(reader, path), expected, `${uid} ${gid} ${mode.toString(8)}`);
    }
  });

  test('names the outermost directory that cannot be entered', async ({ dir }) => {
    await mkdir(join(dir, 'a/b'), { recursive: true });
    const path = join(dir, 'a/b/c');
    await writeFile(path, '', { mode: 0o644 });
    await chmod(path, 0o644);
    await chmod(join(dir, 'a/b'), 0o711);
    await chmod(join(dir, 'a'), 0o711);
    assert.is(await obstacleTo(reader, path), undefined);
    await chmod(join(dir, 'a/b'), 0o744);
    assert.is(await obstacleTo(reader, path), join(dir, 'a/b'));
    await chmod(join(dir, 'a'), 0o700);
    assert.is(await obstacleTo(reader, path), join(dir, 'a'));
    assert.is(await obstacleTo({ ...reader, uid: 0 }, path), undefined);
  });
}

test('does not check a missing file', async ({ dir }) => {
  assert.is(await obstacleTo(reader, join(dir, 'absent')), undefined);
});

test.run();
