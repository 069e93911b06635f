import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StateDisk } from '../../../src/service/state/state-disk.ts';
import {
  makeStateDirectory,
  readStateJson,
  removeLeftovers,
} from '../../../src/service/state/state-file.ts';
import { deadline } from '../../support/deadline.ts';
import { runs } from '../../support/property.ts';
import { keepMounts, newMountNamespace } from '../../support/system/mount-namespace.ts';

const test = suite('state files of a process that is killed');

function parseWhole(value: unknown): number {
  // the writer wrote it; incomplete content has another length or lacks fields
  const { number, length, fill } = value as { number: number; length: number; fill: string };
  if (fill.length !== length) throw new Error('it is not whole');
  return number;
}

test('are complete at every moment, and remains can be removed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-kill-'));
  const path = join(dir, 'state.json');
  const program = join(import.meta.dirname, 'state-writer.js');
  try {
    let leftovers = 0;
    for (let round = 0; round < runs(12); round++) {
      const child = spawn(process.execPath, [program, path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(child, 'exit');
      await deadline(20_000, once(child.stdout, 'data'), 'the first write');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      child.kill('SIGKILL');
      await deadline(5000, ended, 'the writer to end');
      assert.ok(Number(await readStateJson(path, parseWhole)) > 0);
      leftovers += (await readdir(dir)).length - 1;
      await removeLeftovers(dir);
      assert.equal(await readdir(dir), ['state.json']);
    }
    assert.ok(leftovers > 0, 'no kill hit a write');
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('are Unavailable when the disk is full, and leave nothing behind', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-full-'));
  const program = join(import.meta.dirname, 'state-writer.js');
  // a file system of 32 KiB, in a mount namespace of its own
  const mount = `${keepMounts} && mount -t tmpfs -o size=32k tmpfs "$1"`;
  const script = `${mount} && "$2" "$3" "$1/state.json"; ls -A "$1"`;
  const [unshare, ...args] = [...newMountNamespace, 'sh', '-c', script, 'sh'] as const;
  try {
    const run = promisify(execFile)(unshare, [...args, dir, process.execPath, program], {
      timeout: 20_000,
    });
    const { stdout, stderr } = await run;
    assert.match(stderr, /code: 'Unavailable'/);
    assert.match(stderr, /cannot be written: ENOSPC/);
    assert.equal(stdout.split('\n'), ['writing', 'state.json', '']);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('that free space are written into reserved space when the disk is full', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-full-'));
  const program = join(import.meta.dirname, 'state-disk-user.js');
  const mount = `${keepMounts} && mount -t tmpfs -o size=256k tmpfs "$1"`;
  const script = `${mount} && "$2" "$3" "$1/state.json"; ls -A "$1"`;
  const [unshare, ...args] = [...newMountNamespace, 'sh', '-c', script, 'sh'] as const;
  try {
    const { stdout } = await promisify(execFile)(
      unshare,
      [...args, dir, process.execPath, program],
      {
        timeout: 30_000,
      },
    );
    const full = `${dir} cannot be written: ENOSPC`;
    const need = [1, 2, 3, 4, 5, 6].flatMap((count) => [`in need ${count}: none`, 'whole: true']);
    const lines = stdout.trim().split('\n');
    // it is detected by the first write into the reserve, or before
    const problems = lines.filter((line) => line.startsWith('problem: '));
    assert.equal(problems, [`problem: ${dir} is full: ENOSPC, free some space`, 'problem: none']);
    assert.equal(
      lines.filter((line) => !problems.includes(line)),
      [
        `ordinary: ${full}`,
        ...need,
        `too large: ${full}`,
        'left: true',
        `full: ${dir} is full: ENOSPC, free some space`,
        'ordinary: none',
        '.reserve-0',
        '.reserve-1',
        '.reserve-2',
        'state.json',
      ],
    );
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('have no reserve in files of another user', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-reserve-'));
  try {
    using disk = await StateDisk.open(dir, { reserve: [4096] });
    const reserved = join(dir, '.reserve-0');
    await chown(reserved, 12_345, 0);
    await disk.check();
    const { uid, size } = await lstat(reserved);
    assert.equal([uid, size], [process.geteuid?.(), 4096]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('are not written to a directory of another user', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-foreign-'));
  try {
    await makeStateDirectory(join(dir, 'ours/deep'));
    await chown(join(dir, 'ours/deep'), 12_345, 0);
    const error: unknown = await makeStateDirectory(join(dir, 'ours/deep')).catch(
      (e: unknown) => e,
    );
    assert.match(String(error), /belongs to another user, uid 12345/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.run();
