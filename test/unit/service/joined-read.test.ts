import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { JoinedRead } from '../../../src/service/joined-read.ts';

const test = suite('joined read');
const here = new AbortController().signal;

/** A read that ends when it is told to, and a clock that goes when it is told to. */
function rig() {
  const reads: { readonly signal: AbortSignal; readonly end: (result: string | Error) => void }[] =
    [];
  const clock = { ms: 1_000_000 };
  const read = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => {
      const end = (result: string | Error): void =>
        result instanceof Error ? reject(result) : resolve(result);
      reads.push({ signal, end });
    });
  return { reads, clock, joined: new JoinedRead({ read, now: () => new Date(clock.ms) }) };
}

async function codeOf(result: Promise<string>): Promise<string> {
  try {
    return await result;
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

test('reads once for all who ask meanwhile', async () => {
  const { reads, joined } = rig();
  const answers = Array.from({ length: 64 }, () => joined.get(here));
  assert.is(reads.length, 1);
  reads[0]?.end('a');
  assert.equal(new Set(await Promise.all(answers)), new Set(['a']));
});

test('serves a result for a second, counted from its end', async () => {
  const { reads, clock, joined } = rig();
  const first = joined.get(here);
  clock.ms += 5_000;
  reads[0]?.end('a');
  await first;
  clock.ms += 999;
  assert.is(await joined.get(here), 'a');
  clock.ms += 1;
  const second = joined.get(here);
  reads[1]?.end('b');
  assert.is(await second, 'b');
  clock.ms -= 1;
  void joined.get(here);
  assert.is(reads.length, 3);
});

test('serves a failure as long', async () => {
  const { reads, clock, joined } = rig();
  const first = codeOf(joined.get(here));
  reads[0]?.end(new Error('gone'));
  assert.is(await first, 'Error: gone');
  assert.is(await codeOf(joined.get(here)), 'Error: gone');
  clock.ms += 1_000;
  void joined.get(here);
  assert.is(reads.length, 2);
});

test('lets one leave without the others, and ends what nobody waits for', async () => {
  const { reads, joined } = rig();
  const [one, two] = [new AbortController(), new AbortController()];
  const answers = [codeOf(joined.get(one.signal)), codeOf(joined.get(two.signal))];
  one.abort();
  assert.is(await answers[0], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, false);
  two.abort();
  assert.is(await answers[1], 'Cancelled');
  assert.is(reads[0]?.signal.aborted, true);
  const next = joined.get(here);
  assert.is(reads.length, 2);
  reads[0]?.end(new Error('aborted'));
  reads[1]?.end('b');
  assert.is(await next, 'b');
  assert.is(await codeOf(joined.get(one.signal)), 'Cancelled');
});

test('reads anew when it is told that something changed', async () => {
  const { reads, joined } = rig();
  const before = joined.get(here);
  joined.clear();
  const after = joined.get(here);
  reads[0]?.end('old');
  reads[1]?.end('new');
  assert.equal([await before, await after, await joined.get(here)], ['old', 'new', 'new']);
});

test.run();
