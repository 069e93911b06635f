import { quoted } from '../../quoted.ts';
import { timeText } from '../docker/engine/logs/time-text.ts';
import type { LogEntry, LogRequest } from '../supervisor/module-type.ts';
import type { LastOutput } from '../supervisor/update/failed-output.ts';
import type { LastingLog } from './lasting-log.ts';

/**
 * The log of a module behind what the container of its last update printed, if that was rolled back, with a line before
 * each. The number of lines that is asked for counts those of the module's own container.
 */
export function withFailedOutput(
  log: LastingLog,
  failed: LastOutput | undefined,
  request: LogRequest,
): LastingLog {
  const chosen = failed?.entries.filter((entry) => isWithin(entry, request)) ?? [];
  const [first] = chosen;
  const last = chosen.at(-1);
  if (failed === undefined || first === undefined || last === undefined) return log;
  const about = `the last lines of the container of ${quoted(failed.image)}, whose update was rolled back:`;
  const entries = [
    marker(first, about),
    ...chosen,
    marker(last, 'the lines of the container of the module:'),
  ];
  return { ...log, entries: preceded(entries, log.entries) };
}

function isWithin({ time }: LogEntry, { since, tail, until }: LogRequest): boolean {
  if (tail === 0) return false;
  const isAfter = since === undefined || time >= timeText(since);
  return isAfter && (until === undefined || (time !== '' && time <= timeText(until)));
}

function marker({ time }: LogEntry, text: string): LogEntry {
  return { stream: 'stderr', time, text: Buffer.from(`iotedge-modules: ${text}\n`) };
}

async function* preceded(
  first: readonly LogEntry[],
  rest: AsyncIterable<readonly LogEntry[]>,
): AsyncGenerator<readonly LogEntry[]> {
  yield first;
  yield* rest;
}
