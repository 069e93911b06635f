import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  nanosecondsOf,
  timeText,
} from '../../../../../../src/modules/docker/engine/logs/time-text.ts';

const test = suite('times of a log');

test('have nine digits of a second', () => {
  const time = '2023-11-14T22:13:20.000000250Z';
  assert.is(timeText(1_700_000_000_000_000_250n), time);
  assert.is(nanosecondsOf(time), 1_700_000_000_000_000_250n);
  assert.is(nanosecondsOf('2023-11-14T22:13:20Z'), 1_700_000_000_000_000_000n);
  assert.is(nanosecondsOf('2023-11-14T22:13:20.5Z'), 1_700_000_000_500_000_000n);
});

test('are after all others when no year has them', () => {
  for (const nanoseconds of [300_000_000_000n * 1_000_000_000n, 2n ** 64n * 1000n]) {
    assert.ok(timeText(nanoseconds) > '2999', String(nanoseconds));
  }
});

test.run();
