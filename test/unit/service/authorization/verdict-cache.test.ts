import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VerdictCache } from '../../../../src/service/authorization/verdict-cache.ts';

const test = suite('verdict cache');

test('holds at most 4096 verdicts and evicts the oldest', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  for (let count = 0; count < 5000; count++) {
    cache.add(`k${count}`, `:1.${count % 7}`, { allowed: true, askedAt: 0, generation: 0 });
  }
  assert.is(cache.size, 4096);
  assert.is(cache.get('k0', 1), undefined);
  assert.is(cache.get('k4999', 1), true);
  for (let sender = 0; sender < 7; sender++) cache.evictSender(`:1.${sender}`);
  assert.is(cache.size, 0);
});

test('holds no verdict beyond its lifetime', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.add('no', ':1.1', { allowed: false, askedAt: 0, generation: 0 });
  cache.add('yes', ':1.1', { allowed: true, askedAt: 0, generation: 0 });
  cache.add('later', ':1.2', { allowed: false, askedAt: 1000, generation: 0 });
  assert.is(cache.size, 2);
  cache.add('last', ':1.2', { allowed: false, askedAt: 10_000, generation: 0 });
  assert.is(cache.size, 1);
});

test('replaces a verdict, also of another caller', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.add('k', ':1.1', { allowed: true, askedAt: 0, generation: 0 });
  cache.add('k', ':1.1', { allowed: false, askedAt: 0, generation: 0 });
  assert.is(cache.get('k', 1), false);
  assert.is(cache.get('k', 1000), undefined);
  assert.is(cache.size, 0);
});

const yes = { allowed: true, askedAt: 0, generation: 0 };

test('evicts the verdicts of the caller that disconnected, and of no other', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  for (const key of ['a', 'b']) cache.add(key, ':1.1', yes);
  cache.add('c', ':1.2', yes);
  cache.evictSender(':1.1');
  assert.equal(
    [cache.get('a', 1), cache.get('b', 1), cache.get('c', 1)],
    [undefined, undefined, true],
  );
  assert.is(cache.size, 1);
});

test('associates a verdict with its current caller only', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.add('replaced', ':1.1', yes);
  cache.add('replaced', ':1.2', yes);
  cache.evictSender(':1.1');
  assert.is(cache.get('replaced', 1), true);

  cache.add('expired', ':1.1', { ...yes, allowed: false });
  assert.is(cache.get('expired', 1000), undefined);
  cache.add('expired', ':1.2', { ...yes, askedAt: 1000 });
  cache.evictSender(':1.1');
  assert.is(cache.get('expired', 1001), true);

  cache.add('dropped', ':1.1', yes);
  cache.evictAll();
  assert.is(cache.get('dropped', 1), undefined);
  assert.is(cache.size, 0);
  cache.add('dropped', ':1.2', { ...yes, generation: cache.generation });
  cache.evictSender(':1.1');
  assert.is(cache.get('dropped', 1), true);
});

test('holds nothing without a lifetime', () => {
  const cache = new VerdictCache({ yesMs: 0, noMs: 0 });
  cache.add('yes', ':1.1', yes);
  cache.add('no', ':1.1', { ...yes, allowed: false });
  assert.is(cache.size, 0);
});

test('returns a verdict until its lifetime ends, and not at that moment', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.add('yes', ':1.1', { ...yes, askedAt: 5 });
  cache.add('no', ':1.1', { allowed: false, askedAt: 5, generation: 0 });
  assert.equal([cache.get('yes', 10_004), cache.get('no', 1004)], [true, false]);
  assert.equal([cache.get('yes', 10_005), cache.get('no', 1005)], [undefined, undefined]);
});

test.run();
