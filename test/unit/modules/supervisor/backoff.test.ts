import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backoff } from '../../../../src/modules/supervisor/backoff.ts';

const test = suite('backoff');
const start = new Date('2026-01-01T00:00:00Z');

function delayAfter(backoff: Backoff, ranMs?: number): number {
  backoff.failed(start, ranMs);
  return ((backoff.until(start)?.getTime() ?? 0) - start.getTime()) / 1000;
}

test('waits 10 s, then twice as long each time, 300 s at most', () => {
  const backoff = new Backoff();
  const delays = Array.from({ length: 7 }, () => delayAfter(backoff, 1000));
  assert.equal(delays, [10, 20, 40, 80, 160, 300, 300]);
});

test('begins again after ten healthy minutes', () => {
  const backoff = new Backoff();
  for (let count = 0; count < 5; count++) delayAfter(backoff);
  assert.is(delayAfter(backoff, 600_000), 10);
  assert.is(delayAfter(backoff, 599_999), 20);
});

test('lets try when the time has come, and at first', () => {
  const backoff = new Backoff();
  assert.is(backoff.until(start), undefined);
  backoff.failed(start);
  assert.is(backoff.until(new Date(start.getTime() + 9_999))?.getTime(), start.getTime() + 10_000);
  assert.is(backoff.until(new Date(start.getTime() + 10_000)), undefined);
});

test('waits no longer for a clock that is set back', () => {
  const backoff = new Backoff();
  backoff.failed(start);
  const back = new Date(start.getTime() - 3_600_000);
  assert.is(backoff.until(back)?.getTime(), back.getTime() + 10_000);
  assert.is(backoff.until(new Date(back.getTime() + 10_000)), undefined);
});

test('forgets when it is told to', () => {
  const backoff = new Backoff();
  backoff.failed(start);
  backoff.reset();
  assert.is(backoff.until(start), undefined);
  assert.is(delayAfter(backoff), 10);
});

test.run();
