import { ServiceError } from '../../errors.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import { logText } from '../logs/log-text.ts';
import type { LogRequest, ModuleLog } from '../supervisor/module-type.ts';
import type { TimeRange } from './journal.ts';

/** How long the engine may take for the next part of a log. */
const stallMs = 30_000;

/** Reads the log of a module. */
export type ReadLog = (request: LogRequest, signal: AbortSignal) => Promise<ModuleLog>;

/** The lines of a module's log, each with its time; Unavailable when the engine does not go on. */
export async function* moduleLog(
  read: ReadLog,
  { since, until }: TimeRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  using ending = new JoinedSignal([signal, stop.signal]);
  const request = {
    ...(since !== undefined && { since: nanoseconds(since) }),
    ...(until !== undefined && { until: nanoseconds(until) }),
  };
  const stalled = (): void =>
    stop.abort(new ServiceError('Unavailable', 'the engine does not send the log'));
  let timer = setTimeout(stalled, stallMs);
  try {
    const { entries } = await read(request, ending.signal);
    for await (const part of logText(entries, { timestamps: true })) {
      clearTimeout(timer);
      yield part; // the reader may take its time
      timer = setTimeout(stalled, stallMs);
    }
  } finally {
    clearTimeout(timer);
    // what is not read to its end needs this
    stop.abort();
  }
}

function nanoseconds(time: Date): bigint {
  return BigInt(time.getTime()) * 1_000_000n;
}
