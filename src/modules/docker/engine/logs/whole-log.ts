import { isServiceError } from '../../../../errors.ts';
import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';
import { EntryWindow } from './entry-window.ts';
import { findGaps, type Gap } from './gaps.ts';
import { type Batches, endOf, isSame, Positions, type ReadLog } from './positions.ts';
import { later, nanosecondsOf, timeText } from './time-text.ts';

/** How much memory the end of a log may occupy until it is known to be complete. */
const heldBytes = 2 << 20;
/** Damage within what is read again between two lines. */
const deepest = 8;
/** So many parts that cannot be read are passed over, each to the next line that can be. */
const mostPassed = 64;
/** How often lines may come between the request that finds a line and the one that reads from there on. */
const mostMoves = 8;

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
  let rest: DamageableLog | undefined = log;
  for (let passed = 0; rest !== undefined; passed++) {
    rest = yield* partOf(rest, passed < mostPassed ? depth : deepest);
  }
}

/** The log up to a part at its end that the engine does not reach. Returns the log behind what cannot be read of that. */
async function* partOf(
  log: DamageableLog,
  depth: number,
): AsyncGenerator<readonly LogEntry[], DamageableLog | undefined> {
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
  const near = endOf(request, window.passed + entries.length);
  const part = { entries, isCut, near, tail: request.tail, since, until };
  const gaps = await unlessRemoved(findGaps(positions, part), []);
  if (isCut && (await unlessRemoved(isShort(positions, window), false))) {
    yield [new Marker(window.oldest?.time ?? '', entries[0]?.time)];
  }
  let from = 0;
  for (const gap of gaps) {
    const last = entries[gap.index - 1];
    const before = last?.time ?? since;
    const after = entries[gap.index]?.time;
    if (gap.index > from) yield entries.slice(from, gap.index);
    from = gap.index;
    const rest = yield* behind(log, { gap, last, before, after, depth });
    if (from === entries.length) return rest;
    if (rest !== undefined) yield* wholeLog(rest, depth + 1);
  }
  if (from < entries.length) yield entries.slice(from);
  return undefined;
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
  /** The line before it. */
  readonly last: LogEntry | undefined;
  /** The times of the lines around it. */
  readonly before: string;
  readonly after: string | undefined;
  readonly depth: number;
}

/** An entry about the lines of a gap that cannot be read. Returns the log of those behind it. */
async function* behind(
  { read, request }: DamageableLog,
  hole: Hole,
): AsyncGenerator<readonly LogEntry[], DamageableLog | undefined> {
  const { before, after, depth } = hole;
  const positions = new Positions(read);
  const found = depth < deepest ? await firstReadable(positions, hole) : undefined;
  if (found === undefined) {
    yield [new Marker(before, after)];
    return undefined;
  }
  let tail = found.place;
  const until = after === undefined ? request.until : nanosecondsOf(after) - 1n;
  for (let move = 1; ; move++) {
    const askedAt = new Date();
    const rest = { tail, until, since: request.since };
    const { batches, oldest, close } = await begun(await read(rest));
    if (isSame(oldest, found.entry) || move === mostMoves) {
      yield [new Marker(before, oldest?.time ?? after)]; // a later one, when lines come too fast
      return { read, request: rest, first: batches, askedAt };
    }
    await close();
    tail = (await positions.placeOf(found.entry, tail)) ?? tail;
  }
}

interface Begun {
  /** Also the first one. */
  readonly batches: Batches;
  readonly oldest: LogEntry | undefined;
  /** Instead of reading it. */
  readonly close: () => Promise<unknown>;
}

/** A response whose first entry is known. */
async function begun(response: Batches): Promise<Begun> {
  const iterator = response[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* batches(): AsyncGenerator<readonly LogEntry[]> {
    if (first.done !== true) yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  const oldest = first.done === true ? undefined : first.value[0];
  return { batches: batches(), oldest, close: async () => iterator.return?.() };
}

interface Found {
  readonly entry: LogEntry;
  readonly place: number;
}

/** The first line of a gap that the engine reads. */
async function firstReadable(positions: Positions, hole: Hole): Promise<Found | undefined> {
  const { gap, last, before, after = later } = hole;
  let { first } = gap;
  let moves = 0;
  for (let step = 1, place = first; place >= gap.last; place -= step) {
    if (first - place > 8) step *= 2;
    const entry = await positions.at(place);
    if (entry === undefined || entry.time < before || entry.time >= after) continue;
    const next = last && (await positions.placeOf(last, first + 1));
    if (next !== undefined && next > first + 1 && moves++ < mostMoves) {
      // lines that came meanwhile have moved all others
      first = next - 1;
      [place, step] = [next, 1];
    } else if (await isAt(positions, place, entry)) {
      return { entry, place };
    }
  }
  return undefined;
}

/** Whether an entry that is read from a place on is there: from a damaged line the engine skips to a later one. */
async function isAt(positions: Positions, place: number, entry: LogEntry): Promise<boolean> {
  for (let step = 1; step < place; step += step < 8 ? 1 : step) {
    const next = await positions.at(place - step);
    if (next !== undefined && next.time <= entry.time) return false;
  }
  return true;
}

/** An entry about lines that cannot be read: a module may print the same text. */
class Marker implements LogEntry {
  readonly stream = 'stderr';
  readonly time: string;
  readonly text: Buffer;

  constructor(before: string, after: string | undefined) {
    const from = before === '' ? '' : ` after ${before}`;
    const to = after === undefined ? '' : ` before ${after}`;
    this.time = before === '' ? (after ?? '') : before;
    this.text = Buffer.from(
      `iotedge-modules: the container engine cannot read lines of this log${from}${to}: its file is damaged\n`,
    );
  }
}

/** Whether an entry is about lines that cannot be read. */
export function isMarker(entry: LogEntry): boolean {
  return entry instanceof Marker;
}

function earlier(one: string, other: string): string {
  return one < other ? one : other;
}
