import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { backoffMs, maxBackoffMs } from '../../../src/identity/backoff.ts';

const test = suite('back-off of provisioning');
const least = () => 0;
const most = () => 1;

test('doubles from five seconds to ten minutes', () => {
  const waits = [1, 2, 3, 7, 8, 100, 5000].map((failures) => backoffMs(failures, undefined, least));
  assert.equal(waits, [5000, 10_000, 20_000, 320_000, 600_000, 600_000, 600_000]);
});

test('is never shorter than what the cloud asked for, up to an hour', () => {
  assert.is(backoffMs(1, 90_000, least), 90_000);
  assert.is(backoffMs(8, 90_000, least), 600_000);
  assert.is(backoffMs(1, 1e12, least), 3_600_000);
});

test('spreads devices over a fifth more', () => {
  assert.is(backoffMs(1, undefined, most), 6000);
  assert.is(backoffMs(1, 1e12, most), maxBackoffMs);
});

test.run();
