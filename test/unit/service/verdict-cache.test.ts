import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VerdictCache } from '../../../src/service/verdict-cache.ts';

const test = suite('verdict cache');

test('keeps at most 4096 verdicts and drops the oldest', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  for (let count = 0; count < 5000; count++) {
    cache.keep(`k${count}`, `:1.${count % 7}`, { allowed: true, askedAt: 0, generation: 0 });
  }
  assert.is(cache.size, 4096);
  assert.is(cache.get('k0', 1), undefined);
  assert.is(cache.get('k4999', 1), true);
  for (let sender = 0; sender < 7; sender++) cache.dropSender(`:1.${sender}`);
  assert.is(cache.size, 0);
});

test('holds no verdict for longer than it may be used', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.keep('no', ':1.1', { allowed: false, askedAt: 0, generation: 0 });
  cache.keep('yes', ':1.1', { allowed: true, askedAt: 0, generation: 0 });
  cache.keep('later', ':1.2', { allowed: false, askedAt: 1000, generation: 0 });
  assert.is(cache.size, 2);
  cache.keep('last', ':1.2', { allowed: false, askedAt: 10_000, generation: 0 });
  assert.is(cache.size, 1);
});

test('replaces a verdict, whoever it was about', () => {
  const cache = new VerdictCache({ yesMs: 10_000, noMs: 1000 });
  cache.keep('k', ':1.1', { allowed: true, askedAt: 0, generation: 0 });
  cache.keep('k', ':1.1', { allowed: false, askedAt: 0, generation: 0 });
  assert.is(cache.get('k', 1), false);
  assert.is(cache.get('k', 1000), undefined);
  assert.is(cache.size, 0);
});

test.run();
