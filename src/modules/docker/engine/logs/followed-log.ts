import { isServiceError } from '../../../../errors.ts';
import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';
import { type Batches, isSame, type ReadLog } from './positions.ts';

/** How many lines overlap, at first, when the lines to come are asked for after those that are there. */
const overlap = 64;
const mostOverlap = 1 << 20;

/** What is there of a log, then what comes: the engine would read the damaged part of its file again. */
export async function* followedLog(
  past: Batches,
  read: ReadLog,
  request: LogRequest,
): AsyncGenerator<readonly LogEntry[]> {
  try {
    yield* pastAndNew(past, read, request);
  } catch (error) {
    // a container that was removed prints nothing any more
    if (!isServiceError(error, 'NotFound')) throw error;
  }
}

async function* pastAndNew(
  past: Batches,
  read: ReadLog,
  request: LogRequest,
): AsyncGenerator<readonly LogEntry[]> {
  let last: LogEntry | undefined;
  for await (const batch of past) {
    yield batch;
    last = batch.at(-1) ?? last;
  }
  const { tail, ...times } = request;
  if (last === undefined) {
    yield* await read({ ...times, tail: tail === 0 ? 0 : mostOverlap, follow: true });
    return;
  }
  for (let lines = overlap; ; lines *= 16) {
    const isAll = lines >= mostOverlap;
    let isNew = false;
    let isKnown = isAll;
    for await (const batch of await read({ ...times, tail: lines, follow: true })) {
      const [oldest] = batch;
      // lines between them may be missing
      if (!isKnown && oldest !== undefined && oldest.time > last.time) break;
      isKnown = true;
      const fresh: readonly LogEntry[] | undefined = isNew ? batch : after(batch, last);
      isNew ||= fresh !== undefined;
      if (fresh !== undefined && fresh.length > 0) yield fresh;
    }
    if (isKnown) return;
  }
}

/** The entries after a known one; undefined when they are all older. */
function after(batch: readonly LogEntry[], known: LogEntry): readonly LogEntry[] | undefined {
  const at = batch.findIndex((entry) => isSame(entry, known));
  if (at >= 0) return batch.slice(at + 1);
  const later = batch.findIndex(({ time }) => time > known.time);
  return later < 0 ? undefined : batch.slice(later);
}
