import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../../../src/cli/command.ts';
import { type LogFormat, LogOutput } from '../../../../src/cli/modules/log/log-output.ts';
import { logRequest, logTimeNotes } from '../../../../src/cli/modules/log/log-request.ts';
import { parseLogTime } from '../../../../src/cli/modules/log/log-time.ts';
import { writeLog } from '../../../../src/cli/modules/log/write-log.ts';

const test = suite('log of a module on the command line');
const now = new Date('2026-01-31T12:00:00Z');
const micros = (text: string) => BigInt(Date.parse(text)) * 1000n;

test('takes times as docker does', () => {
  const time = (text: string) => parseLogTime('since', text, now);
  assert.is(time('2026-01-31T10:00:00Z'), micros('2026-01-31T10:00:00Z'));
  assert.is(time('2026-01-31T10:00:00.25+02:00'), micros('2026-01-31T08:00:00.250Z'));
  assert.is(time('1700000000.5'), 1_700_000_000_500_000n);
  assert.is(time('10m'), micros('2026-01-31T11:50:00Z'));
  assert.is(time('1h30m'), micros('2026-01-31T10:30:00Z'));
  assert.is(time('2d'), micros('2026-01-29T12:00:00Z'));
  assert.is(time('2026-01-31 10:00'), BigInt(new Date(2026, 0, 31, 10).getTime()) * 1000n);
  assert.is(time('2026-01-31'), BigInt(new Date(2026, 0, 31).getTime()) * 1000n);
  assert.is(time('1.5ms'), BigInt(now.getTime()) * 1000n - 1500n);
  // 0 is no limit for the service
  assert.is(time('0'), 1n);
  for (const wrong of ['', 'yesterday', '10x', '-10m', '2026-13-01', '2026-01-31T25:00:00Z']) {
    assert.throws(
      () => time(wrong),
      (error: unknown) => error instanceof UsageError,
      wrong,
    );
  }
});

test('includes a line whose time is asked for, to the microsecond', () => {
  for (const text of ['2026-01-31T10:00:00.999999001Z', '1769853600.999999001']) {
    const micro = micros('2026-01-31T10:00:00Z') + 999_999n;
    assert.is(parseLogTime('since', text, now), micro);
    assert.is(parseLogTime('until', text, now), micro + 1n);
  }
  const whole = '2026-01-31T10:00:00.000250Z';
  assert.is(parseLogTime('until', whole, now), micros('2026-01-31T10:00:00Z') + 250n);
});

test('has a warning about a number without a unit, which is a time in 1970', () => {
  const notes = (options: object) => logTimeNotes({ options: { ...options } });
  const [note = '', ...others] = notes({ since: '3', until: '1m' });
  assert.match(note, 'warning: --since 3 is a UNIX timestamp (1970-01-01T00:00:03.000Z); 3s or 3m');
  assert.equal(others, []);
  assert.is(notes({ since: '3', until: '10' }).length, 2);
  for (const since of ['0', '3m', '1700000000', '2026-01-31']) assert.equal(notes({ since }), []);
  assert.equal(notes({}), []);
});

test('becomes the request of the service', () => {
  const request = (options: object) => logRequest({ options: { ...options } }, now);
  assert.equal(request({}), { timestamps: false, follow: false });
  assert.equal(request({ tail: 'all' }), { timestamps: false, follow: false });
  assert.equal(request({ tail: '5', timestamps: true, until: '1m', since: '2m' }), {
    tail: 5,
    since: micros('2026-01-31T11:58:00Z'),
    until: micros('2026-01-31T11:59:00Z'),
    timestamps: true,
    follow: false,
  });
  for (const tail of ['-2', 'x', '1.5', '']) {
    assert.throws(
      () => request({ tail }),
      (error: unknown) => error instanceof UsageError,
    );
  }
});

/** What is written for a log that comes in pieces. */
function shown(format: Partial<LogFormat>, ...pieces: readonly (string | Buffer)[]): string {
  const output = new LogOutput({ isTerminal: false, isJson: false, hasTimes: false, ...format });
  const written = pieces.map((piece) => output.piece(Buffer.from(piece)).toString());
  return written.join('') + output.end();
}

test('reaches a program as it is', () => {
  assert.is(shown({}, 'a\x1b[2J', '\nb'), 'a\x1b[2J\nb');
});

test('does nothing to a terminal but colour it', () => {
  assert.is(shown({ isTerminal: true }, 'a\x1b[2Jb\r\n\tc\x9b\n'), 'a\ufffd[2Jb\n\tc\ufffd\n');
  assert.is(shown({ isTerminal: true }, 'a\x1b[31mred\n'), 'a\x1b[31mred\x1b[0m\n');
  assert.is(shown({ isTerminal: true }, 'no end'), 'no end\n');
  const [first = 0, ...others] = Buffer.from('ä\n');
  assert.is(shown({ isTerminal: true }, Buffer.from([first]), Buffer.from(others)), 'ä\n');
});

test('is one object a line for programs that want JSON', () => {
  assert.is(shown({ isJson: true }, 'a', 'b\nc'), '{"line":"ab"}\n{"line":"c"}\n');
  const timed = shown({ isJson: true, hasTimes: true }, '2026-01-31T12:00:00Z hello you\n');
  assert.is(timed, '{"time":"2026-01-31T12:00:00Z","line":"hello you"}\n');
});

test('ends when its reader has gone, however long it is', async () => {
  const stream = new PassThrough();
  stream.on('error', () => undefined);
  stream.destroy();
  let taken = 0;
  function* lines(): Generator<Buffer> {
    while (taken < 9) {
      taken++;
      yield Buffer.from('line\n');
    }
  }
  const output = new LogOutput({ isTerminal: false, isJson: false, hasTimes: false });
  await writeLog(lines(), output, stream);
  assert.is(taken, 1);
});

test.run();
