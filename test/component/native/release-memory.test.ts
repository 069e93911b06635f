import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../support/command.ts';

const test = suite('release of memory');

/** Prints whether a program had 10 MiB more after `allocate`, and whether these are returned before V8 does it by itself. */
function program(allocate: string): string {
  return `
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { releaseMemory } from ${JSON.stringify(new URL('../../../src/native/release-memory.js', import.meta.url).href)};
const ownMiB = () =>
  Number(/^Private_Dirty:\\s+(\\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))[1]) / 1024;
const allocate = ${allocate};
const before = ownMiB();
const last = allocate();
const peak = ownMiB() - before;
void releaseMemory();
const deadline = performance.now() + 5000;
while (ownMiB() - before > 3 && performance.now() < deadline) await sleep(50);
console.log(peak > 10, ownMiB() - before < 3, last !== undefined);`;
}

async function printed(allocate: string): Promise<string> {
  const words = ['--input-type=module', '-e', program(allocate)];
  const { stdout, stderr } = await runCommand(process.execPath, words, { timeoutMs: 15_000 });
  return `${stdout.toString()}${stderr}`;
}

test('returns buffers to the kernel, even below an allocation in use', async () => {
  const small = 60_000; // what glibc does not map by itself
  const buffer = `Buffer.allocUnsafeSlow(${small}).fill(1)`;
  assert.is(
    await printed(`() => Array.from({ length: 1000 }, () => ${buffer}).at(-1)`),
    'true true true\n',
  );
});

test('returns the spare pages of the heap', async () => {
  assert.is(
    await printed('() => Array.from({ length: 500_000 }, (_, n) => ({ n })).length'),
    'true true true\n',
  );
});

test.run();
