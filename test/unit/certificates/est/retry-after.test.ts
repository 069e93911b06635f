import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { retryAfterOf } from '../../../../src/certificates/est/retry-after.ts';

const test = suite('EST Retry-After');
const now = new Date('2026-11-06T08:49:37Z');

const rows: readonly (readonly [string | undefined, number | undefined])[] = [
  ['120', 120],
  [' 7 ', 7],
  ['Fri, 06 Nov 2026 08:51:37 GMT', 120],
  ['Friday, 06-Nov-26 08:51:37 GMT', 120],
  ['Fri Nov  6 08:51:37 2026', 120],
  [undefined, undefined],
  ['', undefined],
  ['0', undefined],
  ['-5', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['99999999999999999999', undefined],
  ['Thu, 05 Nov 2026 08:49:37 GMT', undefined],
  ['Fri, 06 Nov 9999 08:49:37 GMT', undefined],
  ['Fri, 06 Xyz 2026 08:51:37 GMT', undefined],
];

for (const [header, seconds] of rows) {
  test(`reads ${JSON.stringify(header)}`, () => {
    assert.is(retryAfterOf(header, now), seconds);
  });
}

test('counts a date from the clock of the server', () => {
  const date = 'Sat, 07 Nov 2026 08:49:37 GMT';
  assert.is(retryAfterOf('Sat, 07 Nov 2026 08:50:37 GMT', now, date), 60);
});

test.run();
