import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTimeParameter } from '../../../../src/modules/api/time-parameter.ts';

const test = suite('times in queries');
const now = new Date('2026-11-27T12:00:00Z');

function parsed(text: string): string | undefined {
  return parseTimeParameter(text, now)?.toISOString();
}

test('are RFC 3339, seconds since the epoch, or durations', () => {
  assert.is(parsed('2026-11-26T15:16:50Z'), '2026-11-26T15:16:50.000Z');
  assert.is(parsed('2026-11-26T15:16:50.25+01:00'), '2026-11-26T14:16:50.250Z');
  assert.is(parsed('0'), '1970-01-01T00:00:00.000Z');
  assert.is(parsed('1700000000'), '2023-11-14T22:13:20.000Z');
  assert.is(parsed('2s'), '2026-11-27T11:59:58.000Z');
  assert.is(parsed('90m'), '2026-11-27T10:30:00.000Z');
  assert.is(parsed('1 day'), '2026-11-26T12:00:00.000Z');
  assert.is(parsed('1d 2hours'), '2026-11-26T10:00:00.000Z');
});

test('do not go back beyond the epoch', () => {
  assert.is(parsed('99999999999 years'), '1970-01-01T00:00:00.000Z');
});

test('are nothing else', () => {
  for (const text of [
    '',
    '-1',
    '2026-11-26',
    'yesterday',
    '1',
    '1x',
    '1.5h',
    '1d ago',
    '9'.repeat(80),
  ]) {
    assert.is(parsed(text), text === '1' ? '1970-01-01T00:00:01.000Z' : undefined, text);
  }
});

test.run();
