import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogEntry, LogRequest } from '../../../../src/modules/supervisor/module-type.ts';
import { moduleLog, type ReadLog } from '../../../../src/modules/support-bundle/module-log.ts';

const test = suite('log of a module in a bundle');
const never = new AbortController().signal;
const time = '2026-11-27T12:00:00.000000001Z';

function entry(text: string): LogEntry {
  return { stream: 'stdout', time, text: Buffer.from(text) };
}

test('has the lines of that time, each with its own', async () => {
  const requests: LogRequest[] = [];
  const read: ReadLog = async (request) => {
    requests.push(request);
    const entries = async function* () {
      yield [entry('a\n'), entry('b\n')];
    };
    return { isTerminal: false, entries: entries() };
  };
  const range = { since: new Date(1), until: undefined };
  const parts: Uint8Array[] = [];
  for await (const part of moduleLog(read, range, never)) parts.push(part);
  assert.is(Buffer.concat(parts).toString(), `${time} a\n${time} b\n`);
  assert.equal(requests, [{ since: 1_000_000n }]);
});

test('ends the reading when its reader leaves', async () => {
  const signals: AbortSignal[] = [];
  const read: ReadLog = async (_request, signal) => {
    signals.push(signal);
    const entries = async function* () {
      for (;;) yield [entry('a\n')];
    };
    return { isTerminal: false, entries: entries() };
  };
  for await (const part of moduleLog(read, { since: undefined, until: undefined }, never)) {
    assert.ok(part.length > 0);
    break;
  }
  assert.equal(
    signals.map(({ aborted }) => aborted),
    [true],
  );
});

test.run();
