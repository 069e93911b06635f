import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseRfc3339 } from '../../../../src/modules/api/rfc3339.ts';
import { holds } from '../../../support/property.ts';

const test = suite('RFC 3339');

test('accepts times with an offset, of any precision', () => {
  const times = new Map([
    ['2031-01-02T03:04:05Z', '2031-01-02T03:04:05.000Z'],
    ['2031-01-02t03:04:05z', '2031-01-02T03:04:05.000Z'],
    ['2031-01-02 03:04:05Z', '2031-01-02T03:04:05.000Z'],
    ['2026-12-26T15:32:50.1234567Z', '2026-12-26T15:32:50.123Z'],
    ['2026-12-26T15:32:50.9999999999Z', '2026-12-26T15:32:50.999Z'],
    ['2026-12-26T15:32:50+00:00', '2026-12-26T15:32:50.000Z'],
    ['2026-12-26T15:32:50-00:00', '2026-12-26T15:32:50.000Z'],
    ['2031-01-01T00:30:00+05:45', '2030-12-31T18:45:00.000Z'],
    ['2030-12-31T22:30:00-02:30', '2031-01-01T01:00:00.000Z'],
    ['2028-02-29T23:59:60Z', '2028-03-01T00:00:00.000Z'],
    ['0099-01-01T00:00:00Z', '0099-01-01T00:00:00.000Z'],
  ]);
  for (const [text, expected] of times)
    assert.is(parseRfc3339(text)?.toISOString(), expected, text);
});

test('rejects everything else', () => {
  const texts = [
    '',
    '01/02/2031',
    '2031-01-02',
    '2031-01-02T03:04Z',
    '2031-01-02T03:04:05',
    '2031-01-02T03:04:05.Z',
    '2031-01-02T03:04:05,5Z',
    '2031-01-02T03:04:05 Z',
    '2031-01-02T03:04:05+0100',
    '2031-01-02T03:04:05+01',
    '2031-01-02T03:04:05+24:00',
    '2031-01-02T03:04:05+01:60',
    '2031-02-29T03:04:05Z',
    '2031-00-02T03:04:05Z',
    '2031-13-02T03:04:05Z',
    '2031-01-00T03:04:05Z',
    '2031-04-31T03:04:05Z',
    '2031-01-02T24:00:00Z',
    '2031-01-02T23:60:00Z',
    '2031-01-02T23:59:61Z',
    '+002031-01-02T03:04:05Z',
    ' 2031-01-02T03:04:05Z',
    '2031-01-02T03:04:05Z\n',
    '20310102T030405Z',
    '1925003045',
    'Thu, 02 Jan 2031 03:04:05 GMT',
  ];
  for (const text of texts) assert.is(parseRfc3339(text), undefined, JSON.stringify(text));
});

test('parses every time in every offset correctly', () => {
  const day = fc.date({
    min: new Date('0001-01-02T00:00:00Z'),
    max: new Date('9999-12-30T00:00:00Z'),
    noInvalidDate: true,
  });
  const minutes = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });
  const isParsed = (time: Date, east: number, digits: string): void => {
    const local = new Date(time.getTime() + east * 60_000).toISOString();
    const two = (part: number): string => String(part).padStart(2, '0');
    const length = Math.abs(east);
    const offset = `${east < 0 ? '-' : '+'}${two(Math.floor(length / 60))}:${two(length % 60)}`;
    const text = local.replace('Z', `${digits}${offset}`);
    assert.is(parseRfc3339(text)?.toISOString(), time.toISOString(), text);
    const whole = text.replace(/\.\d+/, '');
    const seconds = Math.floor(time.getTime() / 1000);
    assert.is(parseRfc3339(whole)?.getTime(), seconds * 1000, whole);
  };
  holds(fc.property(day, minutes, fc.stringMatching(/^\d{0,6}$/), isParsed), 1_000);
});

test('accepts only texts that round-trip', () => {
  const digits = (length: number) => fc.stringMatching(new RegExp(`^\\d{${length}}$`));
  const text = fc
    .tuple(digits(4), digits(2), digits(2), digits(2), digits(2), digits(2))
    .map(([year, month, day, ...clock]) => `${year}-${month}-${day}T${clock.join(':')}Z`);
  const isTime = (one: string): void => {
    const time = parseRfc3339(one);
    // a leap second is the first one of the next minute
    if (time === undefined || one.endsWith(':60Z')) return;
    assert.is(time.toISOString(), one.replace('Z', '.000Z'));
  };
  holds(fc.property(fc.oneof(text, fc.string()), isTime), 2_000);
});

test.run();
