import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('counts of a run');

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}
interface Module {
  readonly countsOf: (ended: { readonly code: number | string; readonly output: string }) => Counts;
  readonly failuresOf: (output: string) => string;
  readonly formatCounts: (counts: Counts) => string;
  readonly sumOf: (results: readonly Counts[]) => Counts;
}

/** The runners are not compiled. */
async function load(): Promise<Module> {
  const file = new URL('../../../../test/counts.mjs', import.meta.url);
  return (await import(file.href)) as Module; // the interface declares its exports
}

const failure = { passed: 0, failed: 1, skipped: 0 };

test('are those of the last line', async () => {
  const { countsOf } = await load();
  const output = 'x\n5 passed, 0 failed\ny\n\n2 skipped\n7 passed, 1 failed\n';
  assert.equal(countsOf({ code: 0, output }), { passed: 7, failed: 1, skipped: 2 });
});

test('are those of mutants too: a surviving one is a failure', async () => {
  const { countsOf } = await load();
  const output = '12 killed, 2 survived\n';
  assert.equal(countsOf({ code: 1, output }), { passed: 12, failed: 2, skipped: 0 });
});

test('are those before the output of npm about a failure', async () => {
  const { countsOf } = await load();
  const output = '7 passed, 3 failed\nnpm error code 1\n';
  assert.equal(countsOf({ code: 1, output }), { passed: 7, failed: 3, skipped: 0 });
});

for (const [what, ended] of Object.entries({
  'a run that broke off': { code: 0, output: '7 passed, 0 failed\nkilled\n' },
  'a run without output': { code: 0, output: '' },
  'a run in which nothing passed': { code: 0, output: '0 passed, 0 failed\n' },
  'a run that a signal ended': { code: 'SIGKILL', output: 'ok\n' },
})) {
  test(`are one failure for ${what}`, async () => {
    const { countsOf } = await load();
    assert.equal(countsOf(ended), failure);
  });
}

test('include a failure when the run failed in spite of them', async () => {
  const { countsOf } = await load();
  const counts = countsOf({ code: 1, output: '7 passed, 0 failed\n' });
  assert.equal(counts, { passed: 7, failed: 1, skipped: 0 });
});

test('add up to one line', async () => {
  const { formatCounts, sumOf } = await load();
  assert.is(
    formatCounts(sumOf([{ passed: 7, failed: 0, skipped: 1 }, failure])),
    '1 skipped\n7 passed, 1 failed',
  );
});

test('are followed by the failures of every run inside of the run', async () => {
  const { failuresOf } = await load();
  const part = (name: string) =>
    `| | failed files:\n| | FAIL ${name}\n| | end of the failed files\n| | 3 passed, 1 failed`;
  assert.is(failuresOf(`${part('a')}\n| x\n${part('b')}\n`), 'FAIL a\nFAIL b');
  assert.is(failuresOf('FAIL a\n3 passed, 1 failed\n'), '');
});

test.run();
