/** How the retries of a fleet are spread after an outage of the cloud. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { provisioningBackoff } from '../../../src/identity/provisioning.ts';
import { Backoff } from '../../../src/service/backoff.ts';

const test = suite('a fleet after an outage of the cloud');
const outageMs = 60 * 60_000;
const fleetSize = 1000;
const buckets = 30;

/** Numbers from 0 to 1, reproducible from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Case {
  readonly seed: number;
  /** Devices make their first attempt at any time up to this, from the beginning of the outage. */
  readonly startupMs: number;
  /** The Retry-After of the cloud with each failure. */
  readonly retryAfterMs?: number;
}

/** Each device fails and backs off until the outage ends, and succeeds with its next attempt. */
function returnsOf({ seed, startupMs, retryAfterMs }: Case) {
  const random = randomOf(seed);
  const returns: number[] = [];
  let attempts = 0;
  for (let device = 0; device < fleetSize; device++) {
    const backoff = new Backoff(provisioningBackoff, random);
    let nowMs = random() * startupMs;
    for (; nowMs < outageMs; attempts++) nowMs += backoff.failed(new Date(nowMs), { retryAfterMs });
    returns.push(nowMs - outageMs);
  }
  return { returns, attempts };
}

/** The number of devices that return in the busiest bucket, relative to the mean of all. */
function peakOf(returns: readonly number[]): number {
  const bucketMs = Math.max(...returns) / buckets;
  const counts = Array.from({ length: buckets }, () => 0);
  for (const ms of returns) {
    const at = Math.min(buckets - 1, Math.floor(ms / bucketMs));
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return Math.max(...counts) / (fleetSize / buckets);
}

const seeds = Array.from({ length: 20 }, (_, at) => at + 1);

for (const startupMs of [0, 10_000, 60_000, 600_000]) {
  for (const retryAfterMs of [0, 120_000, 3_600_000]) {
    test(`started within ${startupMs} ms with a Retry-After of ${retryAfterMs} ms returns spread out`, () => {
      for (const seed of seeds) {
        const peak = peakOf(returnsOf({ seed, startupMs, retryAfterMs }).returns);
        assert.ok(peak <= 3, `${peak} times the mean with seed ${seed}`);
      }
    });
  }
}

test('has returned ten minutes after the end, with no more than 25 attempts each', () => {
  for (const seed of seeds) {
    const { returns, attempts } = returnsOf({ seed, startupMs: 60_000 });
    assert.ok(Math.max(...returns) <= provisioningBackoff.maxMs);
    assert.ok(attempts / fleetSize <= 25, String(attempts / fleetSize));
  }
});

test.run();
