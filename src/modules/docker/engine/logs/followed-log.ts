import { isServiceError } from '../../../../errors.ts';
import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';
import { type Batches, isSame, Positions, type ReadLog } from './positions.ts';
import { isMarker } from './whole-log.ts';

/** How many lines overlap when the lines to come are asked for after those that are there, attempt by attempt. */
const overlaps = [0, 0, 0, 64, 1 << 10, 1 << 14, 1 << 20];
const mostOverlap = 1 << 20;

/** A log that is followed. */
export interface GrowingLog {
  /** What is there, whole. */
  readonly past: Batches;
  readonly read: ReadLog;
  /** Reads more of it, whole. */
  readonly readWhole: ReadLog;
  readonly request: LogRequest;
}

/** What is there of a log, then what comes: the engine would read the damaged part of its file again. */
export async function* followedLog(log: GrowingLog): AsyncGenerator<readonly LogEntry[]> {
  try {
    yield* pastAndNew(log);
  } catch (error) {
    // a container that was removed prints nothing any more
    if (!isServiceError(error, 'NotFound')) throw error;
  }
}

async function* pastAndNew(log: GrowingLog): AsyncGenerator<readonly LogEntry[]> {
  const { past, read, readWhole } = log;
  const { tail, since, until } = log.request;
  const positions = new Positions(read);
  const placeOf = async (entry: LogEntry | undefined): Promise<number | undefined> =>
    entry && (await positions.of(entry.time));
  let last = yield* passing(past, undefined);
  for (const [attempt, overlap] of overlaps.entries()) {
    const place = await placeOf(last);
    const lines = place === undefined ? (tail === 0 ? 0 : mostOverlap) : place + overlap;
    const response = await read({ tail: lines, since, until, follow: true });
    const end = yield* linesAfter(last, response, attempt === overlaps.length - 1);
    last = end.last;
    if (!end.isKnown && !end.isCut) continue;
    // the engine's message about damage may be missing
    const isOver = until !== undefined || (last ? (await placeOf(last)) === 1 : tail === 0);
    if (!end.isCut && isOver) return;
    // what is there now is damaged, except for lines that come meanwhile
    const coming = await read({ tail: 0, since, until, follow: true });
    const rest = last === undefined ? tail : ((await placeOf(last)) ?? 1) - 1;
    if (rest !== 0) last = yield* passing(await readWhole({ tail: rest, since, until }), last);
    const more = yield* linesAfter(last, coming, true);
    last = more.last;
    if (!more.isCut) return;
  }
}

/** Passes entries on. Returns the last line among them, otherwise the one before. */
async function* passing(
  batches: Batches,
  before: LogEntry | undefined,
): AsyncGenerator<readonly LogEntry[], LogEntry | undefined> {
  let last = before;
  for await (const batch of batches) {
    yield batch;
    last = batch.findLast((entry) => !isMarker(entry)) ?? last;
  }
  return last;
}

interface End {
  readonly last: LogEntry | undefined;
  /** Whether the response began with the known line, or before it. */
  readonly isKnown: boolean;
  /** Whether the engine has ended it because of damage. */
  readonly isCut: boolean;
}

/** The lines after a known one in a followed response; none if lines between may be missing, unless it shall not matter. */
async function* linesAfter(
  known: LogEntry | undefined,
  response: Batches,
  isEnough: boolean,
): AsyncGenerator<readonly LogEntry[], End> {
  let last = known;
  let isKnown = isEnough || known === undefined;
  let isNew = known === undefined;
  let isCut = false;
  for await (const batch of response) {
    const lines = batch.filter(({ time }) => time !== '');
    isCut ||= lines.length < batch.length;
    const [oldest] = lines;
    if (oldest === undefined) continue;
    isKnown ||= known !== undefined && (oldest.time < known.time || isSame(oldest, known));
    if (!isKnown) break;
    const fresh = isNew || known === undefined ? lines : after(lines, known);
    isNew ||= fresh !== undefined;
    if (fresh === undefined || fresh.length === 0) continue;
    yield fresh;
    last = fresh.at(-1) ?? last;
  }
  return { last, isKnown, isCut };
}

/** The entries after a known one; undefined when they are all older. */
function after(batch: readonly LogEntry[], known: LogEntry): readonly LogEntry[] | undefined {
  const at = batch.findIndex((entry) => isSame(entry, known));
  if (at >= 0) return batch.slice(at + 1);
  const later = batch.findIndex(({ time }) => time > known.time);
  return later < 0 ? undefined : batch.slice(later);
}
