import { isServiceError } from '../../../../errors.ts';
import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';
import { EntryWindow } from './entry-window.ts';
import { findGaps, type Gap } from './gaps.ts';
import { type Batches, isSame, Positions, type ReadLog } from './positions.ts';
import { nanosecondsOf, timeText } from './time-text.ts';

/** How much memory the end of a log may occupy until it is known to be complete. */
const heldBytes = 2 << 20;
/** A time after all lines. */
const later = ':';
/** Damage within what is read again after damage. */
const deepest = 8;

/** A log of which the engine reads a file that may be damaged. */
export interface DamageableLog {
  readonly read: ReadLog;
  readonly request: LogRequest;
  /** The engine's response to the request. */
  readonly first: Batches;
  /** When it was asked for: what was printed later need not be in the response. */
  readonly askedAt: Date;
}

/**
 * The log without gaps: what the engine leaves out of its response is asked for by the number of last lines, and an entry
 * says which part cannot be read. Of what is older than the newest thousands of lines, only the latter.
 */
export async function* wholeLog(
  log: DamageableLog,
  depth = 0,
): AsyncGenerator<readonly LogEntry[]> {
  const { askedAt, first, read, request } = log;
  const started = timeText(BigInt(askedAt.getTime()) * 1_000_000n);
  const window = new EntryWindow(heldBytes);
  for await (const batch of first) {
    const passed = window.add(batch.filter(({ time }) => time !== '')); // the others are messages of the engine
    if (passed.length > 0) yield passed;
  }
  const { entries } = window;
  const until = request.until === undefined ? started : earlier(timeText(request.until), started);
  const since = request.since === undefined ? '' : timeText(request.since);
  const positions = new Positions(read);
  const isCut = window.passed > 0;
  const part = { entries, isCut, tail: request.tail, since, until };
  const gaps = await unlessRemoved(findGaps(positions, part), []);
  if (isCut && (await unlessRemoved(isShort(positions, window), false))) {
    yield [marker(window.oldest?.time ?? '', entries[0]?.time)];
  }
  let from = 0;
  for (const gap of gaps) {
    const before = entries[gap.index - 1]?.time ?? since;
    const after = entries[gap.index]?.time;
    if (gap.index > from) yield entries.slice(from, gap.index);
    from = gap.index;
    yield* filling(log, { gap, before, after, depth });
  }
  if (from < entries.length) yield entries.slice(from);
}

/** What was read is the log of a container that was removed meanwhile. */
async function unlessRemoved<T>(asking: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await asking;
  } catch (error) {
    if (isServiceError(error, 'NotFound')) return otherwise;
    throw error;
  }
}

/** Whether lines are missing between the first of all entries and those of the window. */
async function isShort(positions: Positions, window: EntryWindow): Promise<boolean> {
  const last = window.entries.at(-1);
  const place = last && (await positions.of(last.time));
  if (last === undefined || place === undefined) return false;
  const first = place - 1 + window.entries.length + window.passed;
  if (isSame(await positions.at(first), window.oldest)) return false;
  return (await positions.of(last.time)) === place; // else lines came meanwhile
}

interface Hole {
  readonly gap: Gap;
  /** The times of the lines around it. */
  readonly before: string;
  readonly after: string | undefined;
  readonly depth: number;
}

/** The lines of a gap that can be read, after an entry about those that cannot. */
async function* filling(log: DamageableLog, hole: Hole): AsyncGenerator<readonly LogEntry[]> {
  const { read, request } = log;
  const { before, after, depth } = hole;
  const tail = depth < deepest ? await firstReadable(new Positions(read), hole) : 0;
  const found = tail > 0 ? await new Positions(read).at(tail) : undefined;
  yield [marker(before, found?.time ?? after)];
  if (tail === 0) return;
  const until = after === undefined ? request.until : nanosecondsOf(after) - 1n;
  const rest = { tail, until, since: request.since };
  const askedAt = new Date();
  yield* wholeLog({ read, request: rest, first: await read(rest), askedAt }, depth + 1);
}

/** The place of the first line of a gap that the engine reads; 0 when it reads none of them. */
async function firstReadable(
  positions: Positions,
  { gap, before, after = later }: Pick<Hole, 'gap' | 'before' | 'after'>,
): Promise<number> {
  for (let step = 1, place = gap.first; place >= gap.last; place -= step) {
    const entry = await positions.at(place);
    const isWithin = entry !== undefined && entry.time >= before && entry.time < after;
    if (isWithin && (await isAt(positions, place, entry))) return place;
    if (gap.first - place > 8) step *= 2;
  }
  return 0;
}

/** Whether an entry that is read from a place on is there: from a damaged line the engine skips to a later one. */
async function isAt(positions: Positions, place: number, entry: LogEntry): Promise<boolean> {
  for (let step = 1; step < place; step += step < 8 ? 1 : step) {
    const next = await positions.at(place - step);
    if (next !== undefined && next.time <= entry.time) return false;
  }
  return true;
}

function marker(before: string, after: string | undefined): LogEntry {
  const from = before === '' ? '' : ` after ${before}`;
  const to = after === undefined ? '' : ` before ${after}`;
  const text = `iotedge-modules: the container engine cannot read lines of this log${from}${to}: its file is damaged\n`;
  return {
    stream: 'stderr',
    time: before === '' ? (after ?? '') : before,
    text: Buffer.from(text),
  };
}

function earlier(one: string, other: string): string {
  return one < other ? one : other;
}
