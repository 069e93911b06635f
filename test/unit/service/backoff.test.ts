import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backoff } from '../../../src/service/backoff.ts';

const test = suite('backoff');
const start = new Date('2026-01-01T00:00:00Z');
const options = { minMs: 1000, firstMs: 10_000, maxMs: 300_000, healthyMs: 600_000 };
const least = () => 0;
const most = () => 1;

test('waits at most 10 s, then twice as long each time, 300 s at most', () => {
  const backoff = new Backoff(options, most);
  const delays = Array.from({ length: 7 }, () => backoff.failed(start) / 1000);
  assert.equal(delays, [10, 20, 40, 80, 160, 300, 300]);
  for (let count = 0; count < 5000; count++) backoff.failed(start);
  assert.is(backoff.failed(start), 300_000);
});

test('waits for a random time between the minimum and the limit', () => {
  const backoff = new Backoff(options, least);
  assert.equal([backoff.failed(start), backoff.failed(start)], [1000, 1000]);
  const half = new Backoff(options, () => 0.5);
  assert.equal([half.failed(start), half.failed(start)], [5500, 10_500]);
});

test('waits no less than was requested, and spreads those with the same request', () => {
  const requested = { retryAfterMs: 3_600_000 };
  assert.is(new Backoff(options, least).failed(start, requested), 3_601_000);
  assert.is(new Backoff(options, most).failed(start, requested), 3_600_000 * 1.2);
  assert.is(new Backoff(options, most).failed(start, { retryAfterMs: 5000 }), 15_000);
});

test('is reset after ten healthy minutes', () => {
  const backoff = new Backoff(options, most);
  for (let count = 0; count < 5; count++) backoff.failed(start);
  assert.is(backoff.failed(start, { lastedMs: 600_000 }), 10_000);
  assert.is(backoff.failed(start, { lastedMs: 599_999 }), 20_000);
});

test('grows with every failure where nothing counts as healthy', () => {
  const backoff = new Backoff({ minMs: 1, firstMs: 10, maxMs: 1000 }, most);
  assert.is(backoff.failed(start, { lastedMs: 1e9 }), 10);
  assert.is(backoff.failed(start, { lastedMs: 1e9 }), 20);
});

test('allows a retry when the time has come, and at first', () => {
  const backoff = new Backoff(options, most);
  assert.is(backoff.retryAt(start), undefined);
  backoff.failed(start);
  const early = new Date(start.getTime() + 9_999);
  assert.is(backoff.retryAt(early)?.getTime(), start.getTime() + 10_000);
  assert.is(backoff.retryAt(new Date(start.getTime() + 10_000)), undefined);
});

test('waits no longer when the clock is set back', () => {
  const backoff = new Backoff(options, most);
  backoff.failed(start);
  const back = new Date(start.getTime() - 3_600_000);
  assert.is(backoff.retryAt(back)?.getTime(), back.getTime() + 10_000);
  assert.is(backoff.retryAt(new Date(back.getTime() + 10_000)), undefined);
});

test('clears all failures when it is reset', () => {
  const backoff = new Backoff(options, most);
  backoff.failed(start);
  backoff.failed(start);
  backoff.reset();
  assert.is(backoff.retryAt(start), undefined);
  assert.is(backoff.failed(start), 10_000);
});

test('uses random numbers of the system by default', () => {
  const delays = Array.from({ length: 100 }, () => new Backoff(options).failed(start));
  assert.ok(delays.every((delay) => delay >= 1000 && delay <= 10_000));
  assert.ok(new Set(delays).size > 10);
});

test.run();
