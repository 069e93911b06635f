import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { endingAt } from '../../../../../../src/modules/docker/engine/logs/timed-log.ts';
import type { LogEntry } from '../../../../../../src/modules/supervisor/module-type.ts';
import { messageOf } from '../../../../../support/failure.ts';
import { suite } from '../../../../../support/timed-suite.ts';

const test = suite('a followed log with a time');
const entry: LogEntry = { stream: 'stdout', time: '', text: Buffer.from('line\n') };
const nanoseconds = (ms: number): bigint => BigInt(Date.now() + ms) * 1_000_000n;

/** One line, then nothing until the signal aborts. */
async function* quiet(signal: AbortSignal): AsyncGenerator<readonly LogEntry[]> {
  yield [entry];
  if (!signal.aborted) await once(signal, 'abort');
  throw new Error('aborted');
}

async function linesOf(batches: AsyncIterable<readonly LogEntry[]>): Promise<number> {
  let lines = 0;
  for await (const batch of batches) lines += batch.length;
  return lines;
}

test('ends then although no line comes', async () => {
  const end = new AbortController();
  assert.is(await linesOf(endingAt(quiet(end.signal), nanoseconds(10), end)), 1);
});

test('fails as what it comes from', async () => {
  const end = new AbortController();
  const gone = AbortSignal.abort();
  const lines = linesOf(endingAt(quiet(gone), nanoseconds(60_000), end));
  assert.match(await messageOf(lines), 'aborted');
});

test('waits for a time beyond the longest timer', async () => {
  const end = new AbortController();
  const log = endingAt(quiet(end.signal), nanoseconds(400 * 86_400_000), end);
  await log.next();
  // Node fires a timer that is longer after 1 ms
  await sleep(20);
  assert.not(end.signal.aborted);
  await log.return(undefined);
});

test.run();
