import * as assert from 'uvu/assert';
import type { Fields } from '../../../../src/service/log/log-record.ts';
import { Repeats } from '../../../../src/service/log/repeats.ts';
import { until } from '../../../support/deadline.ts';
import { recordingLog } from '../../../support/log.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('repeats in the log');
type Line = readonly [level: string, message: string, fields: Fields];

/** The written records, and their writer. */
function journal(repeatMs?: number) {
  const lines: Line[] = [];
  const log = recordingLog(({ level, message, fields }) => lines.push([level, message, fields]));
  const repeats = new Repeats({ log, ...(repeatMs !== undefined && { repeatMs }) });
  const note = (kind: string, uid = 1, level: 'info' | 'warn' | 'error' = 'info') =>
    repeats.note(kind, { level, message: 'seen', cause: ['uid', uid], fields: () => ({ kind }) });
  return { lines, repeats, note };
}

test('are logged at their level, at once and then as a count', () => {
  const { lines, repeats, note } = journal();
  for (const level of ['info', 'warn', 'error'] as const) {
    for (let at = 0; at < 3; at++) note(level, 1, level);
  }
  assert.equal(lines, [
    ['info', 'seen', { kind: 'info' }],
    ['warn', 'seen', { kind: 'warn' }],
    ['error', 'seen', { kind: 'error' }],
  ]);
  lines.length = 0;
  repeats[Symbol.dispose]();
  assert.equal(lines, [
    ['info', 'seen', { kind: 'info', repeats: 2 }],
    ['warn', 'seen', { kind: 'warn', repeats: 2 }],
    ['error', 'seen', { kind: 'error', repeats: 2 }],
  ]);
});

test('have their fields evaluated for the first of many only', () => {
  const { repeats } = journal();
  let made = 0;
  const fields = () => ({ made: ++made });
  for (let at = 0; at < 5; at++) {
    repeats.note('a', { level: 'info', message: 'm', cause: ['uid', 1], fields });
  }
  assert.is(made, 1);
  repeats[Symbol.dispose]();
});

test('of one cause are limited to 32 kinds, whatever other causes there are', () => {
  const { lines, repeats, note } = journal();
  for (let at = 0; at < 40; at++) note(`a${at}`);
  assert.is(lines.length, 32);
  for (let at = 0; at < 40; at++) note(`b${at}`, 2, 'warn');
  assert.is(lines.length, 64);
  note('one more', 1, 'error');
  lines.length = 0;
  repeats[Symbol.dispose]();
  assert.equal(lines, [
    ['info', 'seen', { uid: 1, others: true, repeats: 8 }],
    ['warn', 'seen', { uid: 2, others: true, repeats: 8 }],
    ['error', 'seen', { uid: 1, others: true, repeats: 1 }],
  ]);
});

test('use limited memory, however many causes there are', () => {
  const { lines, repeats, note } = journal();
  for (let uid = 0; uid < 5000; uid++) note(`of ${uid}`, uid);
  assert.is(lines.length, 4096);
  lines.length = 0;
  // counted kinds continue, and new ones are counted as others
  note('of 0', 0);
  repeats[Symbol.dispose]();
  assert.is(lines.length, 1 + 904);
  assert.equal(lines[0], ['info', 'seen', { kind: 'of 0', repeats: 1 }]);
});

test('are reported periodically, each period from zero', async () => {
  const { lines, repeats, note } = journal(5);
  const alive = setInterval(() => undefined, 1000);
  try {
    for (let at = 0; at < 40; at++) note(`k${at}`);
    note('k0');
    await until(10_000, 'the counts', () => lines.length >= 34);
    assert.equal(lines.slice(32), [
      ['info', 'seen', { kind: 'k0', repeats: 1 }],
      ['info', 'seen', { uid: 1, others: true, repeats: 8 }],
    ]);
    // what was not repeated is evicted, and a cause has its share again
    note('k39');
    assert.equal(lines.at(-1), ['info', 'seen', { kind: 'k39' }]);
    note('k0');
  } finally {
    clearInterval(alive);
    repeats[Symbol.dispose]();
  }
  const counts = lines.slice(34).map(([, , fields]) => fields?.['repeats']);
  assert.ok(
    counts.every((count) => count === undefined || count === 1),
    String(counts),
  );
});

test('are evicted when there were none for a while', async () => {
  const { lines, repeats, note } = journal(5);
  const alive = setInterval(() => undefined, 1000);
  try {
    note('a');
    await until(10_000, 'it to be written anew', () => {
      note('b');
      if (lines.length === 2) note('a');
      return lines.filter(([, , fields]) => fields?.['kind'] === 'a').length > 1;
    });
  } finally {
    clearInterval(alive);
    repeats[Symbol.dispose]();
  }
});

test.run();
