import { fstatSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { isJournalStream, journalSink } from '../../../src/service/journal.ts';
import { priorityOf, ServiceLog } from '../../../src/service/log.ts';
import { type LogRecord, toJournalFields, toLine } from '../../../src/service/log-record.ts';

const test = suite('log');

function collecting(level: 'info' | 'debug' = 'info'): { log: ServiceLog; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const sink = (record: LogRecord): void => void records.push(record);
  const sinks = { console: sink, journal: (): void => undefined };
  const log = new ServiceLog({ identifier: 'iotedge-test', level, target: 'console', sinks });
  return { log, records };
}

function codeOf(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    return isServiceError(error) ? error.code : 'other';
  }
  return undefined;
}

test('keeps records until winston is there, then writes them in order', async () => {
  const { log, records } = collecting();
  log.info('first', { a: 1 });
  assert.is(records.length, 0);
  await log.open();
  log.warn('second');
  await log[Symbol.asyncDispose]();
  log.error('third');
  assert.equal(
    records.map(({ priority, message }) => [priority, message]),
    [
      ['info', 'first'],
      ['warning', 'second'],
      ['err', 'third'],
    ],
  );
});

test('writes what it kept when winston never came', async () => {
  const { log, records } = collecting();
  for (let count = 0; count < 1500; count++) log.info('busy');
  await log[Symbol.asyncDispose]();
  assert.is(records.length, 1001);
});

test('follows changes of the level at once', async () => {
  const { log, records } = collecting();
  log.debug('hidden');
  log.level = 'debug';
  log.debug('shown');
  log.level = 'err';
  log.warn('hidden');
  log.flush();
  assert.equal(
    records.map(({ message }) => message),
    ['shown'],
  );
  assert.is(log.level, 'err');
});

test('says InvalidArgs for a level or a target that it does not know', () => {
  const { log } = collecting();
  assert.is(
    codeOf(() => (log.level = 'loud')),
    'InvalidArgs',
  );
  assert.is(
    codeOf(() => (log.target = 'nowhere')),
    'InvalidArgs',
  );
  assert.is(log.target, 'console');
});

test('knows the levels of the configuration', () => {
  assert.equal((['error', 'warn', 'info', 'debug'] as const).map(priorityOf), [
    'err',
    'warning',
    'info',
    'debug',
  ]);
});

test('writes a line that a person can read and a journal that a program can', () => {
  const fields = { certificateId: 'device-id', reason: 'it is late', tries: 3, left: undefined };
  const record: LogRecord = { priority: 'info', message: 'renewal postponed', fields };
  const line = 'renewal postponed certificateId=device-id reason="it is late" tries=3';
  assert.is(toLine(record), line);
  assert.equal(toJournalFields(record, 'iotedge-test'), [
    ['MESSAGE', line],
    ['PRIORITY', '6'],
    ['SYSLOG_IDENTIFIER', 'iotedge-test'],
    ['IOTEDGE_EVENT', 'renewal postponed'],
    ['IOTEDGE_CERTIFICATE_ID', 'device-id'],
    ['IOTEDGE_REASON', 'it is late'],
    ['IOTEDGE_TRIES', '3'],
  ]);
});

test('keeps a record on one line whatever its values hold', () => {
  const line = toLine({
    priority: 'info',
    message: 'a\nb',
    fields: { x: 'c\n<3>d', y: ['e', 'f'] },
  });
  assert.is(line, 'a b x="c\\n<3>d" y=e,f');
});

test('shows no PIN, token or private key that came into it by mistake', () => {
  const values = [
    'pkcs11:token=a?pin-value=s3cret',
    'HostName=h;SharedAccessKey=s3cret',
    'SharedAccessSignature sr=a&sig=s3cret&se=1',
    '-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----',
    '-----BEGIN EC PRIVATE KEY-----\ns3cret',
  ];
  for (const value of values) {
    const record: LogRecord = {
      priority: 'info',
      message: value,
      fields: { value, list: [value] },
    };
    assert.not.match(JSON.stringify(toJournalFields(record, 'x')), 's3cret');
  }
});

test('falls back to standard error when the journal does not take a record', () => {
  const sink = journalSink(() => false, 'x');
  sink({ priority: 'debug', message: 'seen on standard error', fields: {} });
});

test('takes only the stream that systemd made for the journal', () => {
  const { dev, ino } = fstatSync(2);
  assert.ok(isJournalStream(`${dev}:${ino}`));
  assert.not.ok(isJournalStream(`${dev}:${ino + 1}`));
  assert.not.ok(isJournalStream(undefined));
});

test.run();
