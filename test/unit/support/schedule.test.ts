import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('order of test files');
const root = join(import.meta.dirname, '../../../..');

interface Module {
  readonly longest: readonly string[];
  readonly waiting: readonly string[];
  readonly scheduleOf: (names: readonly string[]) => {
    readonly busy: readonly string[];
    readonly idle: readonly string[];
  };
}

/** The runners are not compiled. */
async function load(): Promise<Module> {
  return (await import(join(root, 'test/schedule.mjs'))) as Module; // the interface declares its exports
}

test('lists files that exist, each once', async () => {
  const { longest, waiting } = await load();
  const listed = [...longest, ...waiting];
  assert.equal(
    listed.filter((name) => !existsSync(join(root, `test/${name}.test.ts`))),
    [],
  );
  assert.is(new Set(listed).size, listed.length);
});

test('has every file once, the listed ones first', async () => {
  const { longest, waiting, scheduleOf } = await load();
  const others = ['unit/a', 'unit/b'];
  const all = [...waiting, ...others, ...longest].reverse();
  assert.equal(scheduleOf(all), { busy: [...longest, ...others], idle: waiting });
});

test('has nothing but the files of a run', async () => {
  const { longest, waiting, scheduleOf } = await load();
  const names = ['unit/b', longest[1] ?? '', waiting[1] ?? '', 'unit/a'];
  assert.equal(scheduleOf(names), {
    busy: [longest[1], 'unit/a', 'unit/b'],
    idle: [waiting[1]],
  });
});

test.run();
