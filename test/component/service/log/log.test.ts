import { spawnSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isJournalStream, journalWriter } from '../../../../src/service/log/journal.ts';
import { priorityOf, ServiceLog } from '../../../../src/service/log/log.ts';
import { type LogRecord, toJournalFields, toLine } from '../../../../src/service/log/log-record.ts';
import { codeOf } from '../../../support/failure.ts';

const test = suite('log');

function collecting(level: 'info' | 'debug' = 'info'): { log: ServiceLog; records: LogRecord[] } {
  const records: LogRecord[] = [];
  const sink = (record: LogRecord): void => void records.push(record);
  const sinks = { console: sink, journal: (): void => undefined };
  const log = new ServiceLog({ identifier: 'iotedge-test', level, target: 'console', sinks });
  return { log, records };
}

test('buffers records until winston is loaded, then writes them in order', async () => {
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

test('writes the buffered records when winston never loads', async () => {
  const { log, records } = collecting();
  for (let count = 0; count < 1500; count++) log.info('busy');
  await log[Symbol.asyncDispose]();
  assert.is(records.length, 1001);
});

test('applies changes of the level at once', async () => {
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

test('throws InvalidArgs for an unknown level or target', () => {
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

test('accepts the levels of the configuration', () => {
  assert.equal((['error', 'warn', 'info', 'debug'] as const).map(priorityOf), [
    'err',
    'warning',
    'info',
    'debug',
  ]);
});

test('writes a readable line, and structured fields to the journal', () => {
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

test('writes a record on one line whatever its values contain', () => {
  const line = toLine({
    priority: 'info',
    message: 'a\nb',
    fields: { x: 'c\n<3>d', y: ['e', 'f'] },
  });
  assert.is(line, 'a b x="c\\n<3>d" y=e,f');
});

test('redacts PINs, tokens and private keys that were logged by mistake', () => {
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

/** The standard error of a program that uses the writers of a log. */
function stderrOf(program: string): string {
  const file = (name: string) =>
    JSON.stringify(join(import.meta.dirname, '../../../../src/service/log', name));
  const text = `
import { sinkOf } from ${file('sink.js')};
import { standardErrorWriter } from ${file('standard-error.js')};
const lines = standardErrorWriter();
${program}`;
  const args = ['--input-type=module', '--eval', text];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 }).stderr;
}

test('writes lines to standard error that begin with their priority', () => {
  const records = ['emerg', 'err', 'debug'].map(
    (priority) => `lines({ priority: '${priority}', message: 'a', fields: { b: 1 } });`,
  );
  assert.is(stderrOf(records.join('')), '<0>a b=1\n<3>a b=1\n<7>a b=1\n');
});

test('falls back to standard error when the journal does not accept a record, and only then', () => {
  const record = "{ priority: 'debug', message: 'seen on standard error', fields: {} }";
  const log = (isTaken: boolean) => stderrOf(`sinkOf([() => ${isTaken}, lines])(${record})`);
  assert.is(log(false), '<7>seen on standard error\n');
  assert.is(log(true), '');
});

test('sends the fields of a record to the journal', () => {
  const sent: (readonly (readonly [string, string])[])[] = [];
  const write = journalWriter((fields) => sent.push([...fields]) > 0, 'iotedge-test');
  const record: LogRecord = { priority: 'warning', message: 'a', fields: { requestId: 'r' } };
  assert.is(write(record), true);
  assert.equal(sent, [toJournalFields(record, 'iotedge-test')]);
  assert.equal(sent[0]?.at(-1), ['IOTEDGE_REQUEST_ID', 'r']);
});

test('reports the number of dropped records, before the buffered ones', async () => {
  const { log, records } = collecting();
  for (let count = 0; count < 1007; count++) log.info('busy');
  log.flush();
  assert.equal(records[0], {
    priority: 'warning',
    message: 'records were dropped',
    fields: { count: 7 },
  });
  assert.is(records.length, 1001);
  log.flush();
  assert.is(records.length, 1001);
  await log[Symbol.asyncDispose]();
});

test('writes records to the target that is set when they are written', async () => {
  const written: string[] = [];
  const sinkOf = (name: string) => (record: LogRecord) =>
    void written.push(`${name} ${record.message}`);
  const sinks = { console: sinkOf('console'), journal: sinkOf('journal') };
  const log = new ServiceLog({ identifier: 'a', level: 'debug', target: 'journal', sinks });
  assert.is(log.syslogIdentifier, 'a');
  assert.is(log.target, 'journal');
  log.debug('one');
  log.flush();
  log.target = 'console';
  log.info('two');
  log.flush();
  assert.equal(written, ['journal one', 'console two']);
  await log[Symbol.asyncDispose]();
  await log.open();
  log.info('three');
  assert.equal(written.slice(2), ['console three']);
});

test('writes records of its level and more important ones', () => {
  const all = ['error', 'warn', 'info', 'debug'] as const;
  for (const [level, expected] of [
    ['err', 1],
    ['warning', 2],
    ['notice', 2],
    ['info', 3],
    ['debug', 4],
    ['emerg', 0],
  ] as const) {
    const { log, records } = collecting();
    log.level = level;
    for (const method of all) log[method](method);
    log.flush();
    assert.equal(
      records.map(({ message }) => message),
      all.slice(0, expected),
      level,
    );
    assert.is(log.writesDebug, level === 'debug');
  }
});

test('truncates a value that is longer than 4096 characters, and names of fields at 64', () => {
  const record = (length: number): LogRecord => {
    return {
      priority: 'info',
      message: 'a',
      fields: { [`b${'c'.repeat(99)}`]: 'x'.repeat(length) },
    };
  };
  const field = (length: number) => toJournalFields(record(length), 'i').at(-1);
  assert.is(field(4096)?.[1], 'x'.repeat(4096));
  assert.is(field(4097)?.[1], `${'x'.repeat(4096)}…`);
  assert.is(field(1)?.[0].length, 64);
  assert.is(field(1)?.[0].slice(0, 10), 'IOTEDGE_BC');
});

test('quotes empty values in a line, and ambiguous ones', () => {
  const fields = {
    a: '',
    b: 'x=y',
    c: 'x"y',
    d: 'x y',
    e: 'x\\y',
    f: 'ä',
    g: '/a:b,c;d',
    h: 5n,
    i: true,
  };
  const line = toLine({ priority: 'info', message: 'm', fields });
  const expected = 'm a="" b="x=y" c="x\\"y" d="x y" e="x\\\\y" f="ä" g=/a:b,c;d h=5 i=true';
  assert.is(line, expected);
});

test('recognizes only the journal stream of systemd', () => {
  const { dev, ino } = fstatSync(2);
  assert.ok(isJournalStream(`${dev}:${ino}`));
  assert.not.ok(isJournalStream(`${dev}:${ino + 1}`));
  assert.not.ok(isJournalStream(undefined));
});

test.run();
