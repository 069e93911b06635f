/** What the container of an update printed last that was rolled back. */
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { logText } from '../../../../../src/modules/logs/log-text.ts';
import { withFailedOutput } from '../../../../../src/modules/logs/with-failed-output.ts';
import type { LogEntry, LogRequest } from '../../../../../src/modules/supervisor/module-type.ts';
import {
  FailedOutput,
  type LastOutput,
} from '../../../../../src/modules/supervisor/update/failed-output.ts';
import { deadline, soon } from '../../../../support/deadline.ts';
import { UpdatedModule } from '../../../../support/engine/updated-module.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('output of updates that failed');

const entry = (text: string, time = ''): LogEntry => ({
  stream: 'stdout',
  time,
  text: Buffer.from(text),
});
const at = (second: number): string => `2026-01-01T00:00:0${second}.000000000Z`;
const nanoseconds = (second: number): bigint => BigInt(Date.parse(at(second))) * 1_000_000n;

/** The entries as they are shown; of nothing, undefined. */
async function shown(last: LastOutput | undefined): Promise<string | undefined> {
  return last && textOf(Readable.from([last.entries]));
}

async function textOf(
  entries: AsyncIterable<readonly LogEntry[]>,
  timestamps = false,
): Promise<string> {
  let text = '';
  for await (const part of logText(entries, { timestamps })) text += part.toString();
  return text;
}

/** What is kept of these entries. */
async function kept(entries: readonly LogEntry[]): Promise<FailedOutput> {
  const output = new FailedOutput({
    name: 'm',
    type: {
      parkedLog: () => Promise.resolve({ isTerminal: false, entries: Readable.from([entries]) }),
    },
    log: silentLog,
  });
  await output.read('c2', 'a:2', soon());
  return output;
}

/** A module whose update to `a:2` was rolled back. */
function rolledBack(printed?: string): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    if (printed !== undefined) module.printed.set('c2', printed);
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.change('c2', { health: 'unhealthy' });
    await module.until('the end', () => module.saved.update === undefined);
  });
}

test('is kept in memory before its container is removed, until another update is tried', async () => {
  await using module = await rolledBack('why\n');
  assert.equal(module.listed, ['m a:1 running']);
  const { last } = module.supervisor.failedOutput;
  assert.equal([last?.image, await shown(last)], ['a:2', 'why\n']);
  assert.not.ok(JSON.stringify([module.status, module.saved]).includes('why'));
  await module.begin('update', 'a:3');
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(module.supervisor.failedOutput.last, undefined);
});

test('is not needed for a roll-back', async () => {
  await using module = await rolledBack();
  assert.equal(module.listed, ['m a:1 running']);
  assert.is(module.supervisor.failedOutput.last, undefined);
});

test('is not kept of a container that was replaced by a good one', async () => {
  await using module = new UpdatedModule();
  module.printed.set('c1', 'fine\n');
  await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(10_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.is(module.supervisor.failedOutput.last, undefined);
});

test('is given up when the engine does not give it soon', async () => {
  const aborted = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new ServiceError('Unavailable', 'late')));
    });
  const output = new FailedOutput({
    name: 'm',
    type: { parkedLog: (_query, _request, signal) => aborted(signal) },
    log: silentLog,
    readMs: 10,
  });
  const signal = AbortSignal.timeout(10_000);
  await deadline(10_000, output.read('c2', 'a:2', signal), 'the end of the reading');
  assert.not(signal.aborted);
  assert.is(output.last, undefined);
});

test('has 20 lines and 4 KiB at most, and no control characters', async () => {
  const many = Array.from({ length: 30 }, (_, index) => entry(`${index}\n`, at(1)));
  const lines = (await shown((await kept(many)).last))?.split('\n');
  assert.equal([lines?.length, lines?.[0], lines?.at(-2)], [21, '10', '29']);
  const long = Array.from({ length: 9 }, () => entry(`${'x'.repeat(9_000)}\n`, at(1)));
  const cut = `${'x'.repeat(1_000)}…\n`;
  assert.is(await shown((await kept(long)).last), cut.repeat(4));
  const raw = [entry('a\tb\u001b[2J\u202e\r\n', at(1)), entry('no end', at(2))];
  const { last } = await kept(raw);
  assert.is(await shown(last), 'a\tb?[2J?\nno end\n');
  assert.equal(
    last?.entries.map(({ time }) => time),
    [at(1), at(2)],
  );
});

test('comes before the log of the module, between lines that say so, as far as its times are asked for', async () => {
  const { last } = await kept([entry('one\n', at(1)), entry('two\n', at(3))]);
  const read = (request: LogRequest, failed = last) => {
    const { signal: ended } = new AbortController();
    const log = { isTerminal: false, ended, entries: Readable.from([[entry('own\n', at(5))]]) };
    return textOf(withFailedOutput(log, failed, request).entries);
  };
  const whole = (lines: string) =>
    `iotedge-modules: the last lines of the container of "a:2", whose update was rolled back:\n${lines}iotedge-modules: the lines of the container of the module:\nown\n`;
  assert.is(await read({}), whole('one\ntwo\n'));
  assert.is(await read({ tail: 1 }), whole('one\ntwo\n'));
  assert.is(await read({ tail: 0 }), 'own\n');
  assert.is(await read({ since: nanoseconds(2) }), whole('two\n'));
  assert.is(await read({ until: nanoseconds(2) }), whole('one\n'));
  assert.is(await read({ since: nanoseconds(4) }), 'own\n');
  assert.is(await read({}, (await kept([])).last), 'own\n');
});

test.run();
