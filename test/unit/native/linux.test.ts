import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeJournalRecord } from '../../../src/native/linux.ts';

const test = suite('journal record');

test('has a line for each field, two for a duplicate name', () => {
  const record = encodeJournalRecord([
    ['MESSAGE', 'key created'],
    ['KEY_ID', 'a=b'],
    ['KEY_ID', ''],
  ]);
  assert.is(record.toString(), 'MESSAGE=key created\nKEY_ID=a=b\nKEY_ID=\n');
});

test('has a value of several lines with its length in bytes', () => {
  const record = encodeJournalRecord([['MESSAGE', 'é\nPRIORITY=0']]);
  assert.is(
    record.toString('hex'),
    Buffer.concat([
      Buffer.from('MESSAGE\n'),
      Buffer.from([13, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from('é\nPRIORITY=0\n'),
    ]).toString('hex'),
  );
});

test('refuses invalid field names', () => {
  for (const name of ['', 'message', '_PID', 'A B', 'A\nB', '1A', 'A'.repeat(65)]) {
    assert.throws(
      () => encodeJournalRecord([[name, 'x']]),
      (error: unknown) => error instanceof TypeError,
    );
  }
});

test.run();
