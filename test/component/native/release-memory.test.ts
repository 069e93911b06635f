import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../support/command.ts';

const test = suite('release of memory');

/** Prints whether most of 60 MiB are returned while the last allocation is in use, and whether `gc` stays hidden. */
const program = `
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { releaseMemory } from ${JSON.stringify(new URL('../../../src/native/release-memory.js', import.meta.url).href)};
const residentMiB = () =>
  Number(/^VmRSS:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024;
const small = 60_000; // what glibc does not map by itself
const allocate = () => Array.from({ length: 1000 }, () => Buffer.allocUnsafeSlow(small).fill(1)).at(-1);
const before = residentMiB();
const last = allocate();
const peak = residentMiB() - before;
releaseMemory();
const deadline = performance.now() + 10_000;
while (residentMiB() - before > 20 && performance.now() < deadline) await sleep(50);
console.log(peak > 50, residentMiB() - before < 20, last.length === small, runInNewContext('typeof gc'));`;

test('returns garbage to the kernel, even below an allocation in use', async () => {
  const words = ['--input-type=module', '-e', program];
  const { stdout, stderr } = await runCommand(process.execPath, words, { timeoutMs: 30_000 });
  assert.is(stdout.toString(), 'true true true undefined\n', stderr);
});

test.run();
