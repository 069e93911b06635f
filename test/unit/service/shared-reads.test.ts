import { getEventListeners } from 'node:events';
import * as assert from 'uvu/assert';
import { SharedReads } from '../../../src/service/shared-reads.ts';
import { codeIn } from '../../support/failure.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('shared reads');

/** Reads that are counted, with a manual clock. */
function counting() {
  const clock = { elapsedMs: 0 };
  const reads = new SharedReads<number>({ elapsedMs: () => clock.elapsedMs, most: 3 });
  let count = 0;
  return { clock, reads, read: async () => ++count };
}

test('share one run among all callers meanwhile, and its outcome for a second', async () => {
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

test('begin again after a change, also during a run', async () => {
  const { reads, read } = counting();
  const before = reads.get('a', read);
  reads.evict('a');
  assert.is(await reads.get('a', read), 2);
  assert.is(await before, 1);
  assert.is(await reads.get('a', read), 2);
  reads.evictAll();
  assert.is(await reads.get('a', read), 3);
});

test('limit the number of cached results', async () => {
  const { reads, read } = counting();
  for (const key of ['a', 'b', 'c', 'd']) await reads.get(key, read);
  assert.is(await reads.get('d', read), 4);
  assert.is(await reads.get('b', read), 2);
  assert.is(await reads.get('a', read), 5);
});

/** Begins a read that ends when it is released. */
function slowRead() {
  const reads: { readonly signal: AbortSignal; readonly end: (result: number) => void }[] = [];
  const read = (signal: AbortSignal): Promise<number> =>
    new Promise((end) => {
      reads.push({ signal, end });
    });
  return { reads, read };
}

const outcomeOf = (result: Promise<number>): Promise<string> => result.then(String, codeIn);

test('let one caller leave without the others, and abort a read without callers', async () => {
  const shared = new SharedReads<number>();
  const { reads, read } = slowRead();
  const [one, two, here] = [new AbortController(), new AbortController(), new AbortController()];
  const results = [one, two].map(({ signal }) => outcomeOf(shared.get('a', read, signal)));
  one.abort();
  assert.is(await results[0], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, false);
  two.abort();
  assert.is(await results[1], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, true);
  const next = shared.get('a', read, here.signal);
  assert.is(reads.length, 2);
  reads[0]?.end(1);
  reads[1]?.end(2);
  assert.is(await next, 2);
  assert.is(await outcomeOf(shared.get('a', read, one.signal)), 'Cancelled');
});

test('do not run for a caller that has left already', async () => {
  const { reads, read } = slowRead();
  const shared = new SharedReads<number>();
  assert.is(await outcomeOf(shared.get('a', read, AbortSignal.abort())), 'Cancelled');
  assert.is(reads.length, 0);
});

test('abort no completed read, and none that began later', async () => {
  const clock = { elapsedMs: 0 };
  const shared = new SharedReads<number>({ elapsedMs: () => clock.elapsedMs });
  const { reads, read } = slowRead();
  const [one, two] = [new AbortController(), new AbortController()];
  const first = shared.get('a', read, one.signal);
  reads[0]?.end(1);
  assert.is(await first, 1);
  assert.is(reads[0]?.signal.aborted, false);
  // an evicted read continues for its callers, and its end does not affect later ones
  clock.elapsedMs = 5000;
  const before = outcomeOf(shared.get('a', read, one.signal));
  shared.evict('a');
  const after = outcomeOf(shared.get('a', read, two.signal));
  one.abort();
  assert.is(await before, 'Cancelled');
  assert.equal([reads[1]?.signal.aborted, reads[2]?.signal.aborted], [true, false]);
  const joined = outcomeOf(shared.get('a', read, two.signal));
  assert.is(reads.length, 3);
  reads[2]?.end(3);
  assert.equal([await after, await joined], ['3', '3']);
});

test('leave no listener on the signal of a caller', async () => {
  const shared = new SharedReads<number>();
  const { signal } = new AbortController();
  assert.is(await shared.get('a', async () => 1, signal), 1);
  assert.is(getEventListeners(signal, 'abort').length, 0);
});

test('are shared for a second, for 256 keys, by default', async () => {
  const shared = new SharedReads<number>();
  let count = 0;
  const read = async () => ++count;
  for (let key = 0; key < 257; key++) await shared.get(`${key}`, read);
  assert.is(await shared.get('256', read), 257);
  assert.is(await shared.get('1', read), 2);
  assert.is(await shared.get('0', read), 258);
});

test('are not aborted while a caller without a signal waits', async () => {
  const shared = new SharedReads<number>();
  const { reads, read } = slowRead();
  const one = new AbortController();
  const [left, stays] = [outcomeOf(shared.get('a', read, one.signal)), shared.get('a', read)];
  one.abort();
  assert.is(await left, 'Cancelled');
  assert.is(reads[0]?.signal.aborted, false);
  reads[0]?.end(7);
  assert.is(await stays, 7);
});

test.run();
