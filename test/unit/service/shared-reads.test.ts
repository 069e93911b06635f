import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SharedReads } from '../../../src/service/shared-reads.ts';

const test = suite('shared reads');

/** Reads that count, under a clock that is set by hand. */
function counting() {
  const clock = { elapsedMs: 0 };
  const reads = new SharedReads<number>({ elapsedMs: () => clock.elapsedMs, most: 3 });
  let count = 0;
  return { clock, reads, read: async () => ++count };
}

test('share one run among all who ask meanwhile, and its outcome for a second', async () => {
  const { clock, reads, read } = counting();
  assert.equal(await Promise.all([reads.get('a', read), reads.get('a', read)]), [1, 1]);
  clock.elapsedMs = 999;
  assert.is(await reads.get('a', read), 1);
  assert.is(await reads.get('b', read), 2);
  clock.elapsedMs = 1000;
  assert.is(await reads.get('a', read), 3);
});

test('share a run for as long as it takes, and count the second from its end', async () => {
  const { clock, reads, read } = counting();
  let finish = (): void => undefined;
  const slow = new Promise<number>((done) => {
    finish = () => done(7);
  });
  const first = reads.get('a', () => slow);
  clock.elapsedMs = 60_000;
  const second = reads.get('a', read);
  finish();
  assert.equal(await Promise.all([first, second]), [7, 7]);
  clock.elapsedMs = 60_999;
  assert.is(await reads.get('a', read), 7);
});

test('share a failure too', async () => {
  const { clock, reads, read } = counting();
  const fail = () => Promise.reject(new Error('no'));
  await reads.get('a', fail).catch(() => undefined);
  assert.is(await reads.get('a', read).catch((error: unknown) => String(error)), 'Error: no');
  clock.elapsedMs = 1000;
  assert.is(await reads.get('a', read), 1);
});

test('begin anew after a change, also while a run is under way', async () => {
  const { reads, read } = counting();
  const before = reads.get('a', read);
  reads.forget('a');
  assert.is(await reads.get('a', read), 2);
  assert.is(await before, 1);
  assert.is(await reads.get('a', read), 2);
  reads.forgetAll();
  assert.is(await reads.get('a', read), 3);
});

test('keep only so many', async () => {
  const { reads, read } = counting();
  for (const key of ['a', 'b', 'c', 'd']) await reads.get(key, read);
  assert.is(await reads.get('d', read), 4);
  assert.is(await reads.get('b', read), 2);
  assert.is(await reads.get('a', read), 5);
});

test.run();
