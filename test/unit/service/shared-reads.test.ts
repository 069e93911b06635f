import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
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
  reads.evict('a');
  assert.is(await reads.get('a', read), 2);
  assert.is(await before, 1);
  assert.is(await reads.get('a', read), 2);
  reads.evictAll();
  assert.is(await reads.get('a', read), 3);
});

test('keep only so many', async () => {
  const { reads, read } = counting();
  for (const key of ['a', 'b', 'c', 'd']) await reads.get(key, read);
  assert.is(await reads.get('d', read), 4);
  assert.is(await reads.get('b', read), 2);
  assert.is(await reads.get('a', read), 5);
});

/** Begins a read that ends when it is told to. */
function slowRead() {
  const reads: { readonly signal: AbortSignal; readonly end: (result: number) => void }[] = [];
  const read = (signal: AbortSignal): Promise<number> =>
    new Promise((end) => {
      reads.push({ signal, end });
    });
  return { reads, read };
}

async function codeOf(result: Promise<number>): Promise<string> {
  try {
    return String(await result);
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

test('let one leave without the others, and end what nobody waits for', async () => {
  const shared = new SharedReads<number>();
  const { reads, read } = slowRead();
  const [one, two, here] = [new AbortController(), new AbortController(), new AbortController()];
  const answers = [one, two].map(({ signal }) => codeOf(shared.get('a', read, signal)));
  one.abort();
  assert.is(await answers[0], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, false);
  two.abort();
  assert.is(await answers[1], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, true);
  const next = shared.get('a', read, here.signal);
  assert.is(reads.length, 2);
  reads[0]?.end(1);
  reads[1]?.end(2);
  assert.is(await next, 2);
  assert.is(await codeOf(shared.get('a', read, one.signal)), 'Cancelled');
});

test('do not end what somebody waits for without a signal', async () => {
  const shared = new SharedReads<number>();
  const { reads, read } = slowRead();
  const one = new AbortController();
  const [left, stays] = [codeOf(shared.get('a', read, one.signal)), shared.get('a', read)];
  one.abort();
  assert.is(await left, 'Cancelled');
  assert.is(reads[0]?.signal.aborted, false);
  reads[0]?.end(7);
  assert.is(await stays, 7);
});

test.run();
