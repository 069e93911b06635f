import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultCallLimits as limits } from '../../../../../src/dbus/server/limits/call-limits.ts';
import { maxCallElements } from '../../../../../src/dbus/server/method.ts';
import { defaultOutboxLimits } from '../../../../../src/dbus/wire/connection.ts';
import { maxFieldsBytes } from '../../../../../src/dbus/wire/reader.ts';

const test = suite('dbus call limits');
const page = readFileSync(join(import.meta.dirname, '../../../../../../docs/limits.md'), 'utf8');

const mebibytes = (bytes: number): string => `${bytes / (1 << 20)} MiB`;
const kibibytes = (bytes: number): string => `${bytes / 1024} KiB`;

test('are those of their documentation', () => {
  const { perUid, trusted, others, unidentified, replies } = limits;
  const rows = [
    `| elements of all arrays and dictionaries of a call | ${maxCallElements};`,
    `| header fields | ${kibibytes(maxFieldsBytes)} |`,
    `| calls that are handled at once | ${perUid.active} | ${trusted.active} |`,
    `| ${perUid.queued}, ${mebibytes(perUid.queuedBytes)} | ${trusted.queued}, ${mebibytes(trusted.queuedBytes)} |`,
    `| ${perUid.parked}, ${mebibytes(perUid.parkedBytes)} | ${trusted.parked}, ${mebibytes(trusted.parkedBytes)} |`,
    `${others.active} calls handled at once, ${mebibytes(others.queuedBytes)} waiting for their turn and ${mebibytes(others.parkedBytes)} waiting for something else`,
    `queued for ${limits.queuedMs / 1000} s`,
    `${unidentified.calls} more with ${kibibytes(unidentified.bytes)}`,
    `${mebibytes(replies.largeTotalBytes)} in replies above ${kibibytes(replies.largeBytes)}`,
    `and ${mebibytes(replies.totalBytes)} in all, in ${replies.perMs / 1000} s`,
    `after ${defaultOutboxLimits.stallMs / 1000} s, and ends after ${defaultOutboxLimits.lostMs / 1000} s`,
  ];
  const text = page.replaceAll('\n', ' ');
  for (const row of rows) assert.ok(text.includes(row), row);
});

test('reserve a part for the calls of unidentified connections', () => {
  const { totalBytes, reservedBytes } = limits.unidentified;
  assert.equal([totalBytes, reservedBytes].map(mebibytes), ['32 MiB', '8 MiB']);
});

test.run();
