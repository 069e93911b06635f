import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nextCleanup } from '../../../../../src/modules/docker/images/cleanup-schedule.ts';

const test = suite('schedule of clean-ups');
const [hourMs, dayMs] = [3_600_000, 86_400_000];
/** In local time. */
const at = (day: number, hour: number, minute = 0) => new Date(2026, 0, day, hour, minute);

test('has the time of day when clean-ups are whole days apart', () => {
  const daily = { recurrenceMs: dayMs, timeMin: 150 };
  assert.equal(nextCleanup(at(1, 2, 29), daily), at(1, 2, 30));
  assert.equal(nextCleanup(at(1, 2, 30), daily), at(2, 2, 30));
  assert.equal(nextCleanup(at(1, 12), daily), at(2, 2, 30));
  assert.equal(nextCleanup(at(1, 2, 30), { recurrenceMs: 3 * dayMs, timeMin: 150 }), at(4, 2, 30));
});

test('follows the last clean-up when they are more frequent', () => {
  const hourly = { recurrenceMs: hourMs, timeMin: 150 };
  assert.equal(nextCleanup(at(1, 23, 10), hourly), at(2, 0, 10));
});

test.run();
