import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readStateJson, removeLeftovers } from '../../../src/service/state-file.ts';
import { deadline } from '../../support/deadline.ts';

const test = suite('state files of a process that is killed');

function parseWhole(value: unknown): number {
  // The writer wrote it; what is not whole has other lengths or lacks some.
  const { number, length, fill } = value as { number: number; length: number; fill: string };
  if (fill.length !== length) throw new Error('it is not whole');
  return number;
}

test('are whole at every moment, and what is left over can be removed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'service-kill-'));
  const path = join(dir, 'state.json');
  const program = join(import.meta.dirname, 'state-writer.js');
  try {
    let leftovers = 0;
    for (let round = 0; round < 12; round++) {
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

test.run();
