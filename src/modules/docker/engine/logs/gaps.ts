/**
 * Finds what the engine left out of a log. A power cut leaves NULs in its file; the engine then discards what it reads
 * until, by chance, a piece of it begins with a line, or to the end, and says nothing. It counts lines correctly, though.
 */
import type { LogEntry } from '../../../supervisor/module-type.ts';
import { firstHolding, isSame, mostLines, type Positions } from './positions.ts';

/** Lines that were left out. */
export interface Gap {
  /** They were before this entry. */
  readonly index: number;
  /** The places of the first and of the last of them. */
  readonly first: number;
  readonly last: number;
}

/** What was read of a log. */
export interface ReadPart {
  readonly entries: readonly LogEntry[];
  /** Whether there were older entries, which are not part of this. */
  readonly isCut: boolean;
  /** Where the last of them probably is. */
  readonly near: number | undefined;
  /** How many lines at most were asked for. */
  readonly tail: number | undefined;
  /** Older lines were not asked for. */
  readonly since: string;
  /** Newer lines were not asked for, or came later. */
  readonly until: string;
}

const mostGaps = 16;
const mostAttempts = 3;

/** The gaps, oldest first. Those of a log that grows all the time may stay unknown, but for one at its end. */
export async function findGaps(positions: Positions, part: ReadPart): Promise<readonly Gap[]> {
  const last = part.entries.at(-1);
  if (last === undefined) return hiddenLog(positions, part);
  for (let attempt = 1; ; attempt++) {
    const place = await positions.of(last.time, part.near);
    if (place === undefined) return []; // it was rotated away meanwhile
    const ending = await gapAtEnd(positions, part, place);
    const gaps = await innerGaps(positions, part, place);
    // lines that came meanwhile have moved all others
    if (gaps.length === 0 || (await positions.of(last.time, place)) === place)
      return [...gaps, ...ending];
    if (attempt === mostAttempts) return ending;
  }
}

/** The gap when nothing could be read. */
async function hiddenLog(positions: Positions, part: ReadPart): Promise<readonly Gap[]> {
  const newest = part.isCut || part.tail === 0 ? undefined : await positions.at(1);
  if (newest === undefined || newest.time < part.since || newest.time > part.until) return [];
  const limits = { limit: newest.time, since: part.since };
  if (part.tail !== undefined) return [{ index: 0, first: part.tail, last: 1 }];
  for (let place = 1, attempt = 1; ; attempt++) {
    const first = await firstPlace(positions, place, limits);
    const now = await positions.placeOf(newest, place);
    if (now === place || now === undefined || attempt === mostAttempts) {
      return [{ index: 0, first, last: 1 }];
    }
    place = now; // lines that came meanwhile have moved all others
  }
}

/** The gap after the newest entry: what the engine has there came before the request. */
async function gapAtEnd(
  positions: Positions,
  { entries, until }: ReadPart,
  place: number,
): Promise<readonly Gap[]> {
  const after = entries.at(-1)?.time ?? '';
  // what follows directly may be damaged
  for (let step = 1; step < place; step += step < 8 ? 1 : step) {
    const entry = await positions.at(place - step);
    if (entry !== undefined && entry.time > after && entry.time <= until) {
      return [{ index: entries.length, first: place - 1, last: 1 }];
    }
  }
  return [];
}

/** The gaps between entries and before them. */
async function innerGaps(
  positions: Positions,
  part: ReadPart,
  place: number,
): Promise<readonly Gap[]> {
  const { entries } = part;
  const gaps: Gap[] = [];
  let end = entries.length;
  let offset = place - 1;
  const placeOf = (index: number): number => entries.length - index + offset;
  const isPlaced = async (index: number): Promise<boolean> =>
    isSame(await positions.at(placeOf(index)), entries[index]);
  while (gaps.length < mostGaps) {
    if (await isPlaced(0)) return [...(await gapAtStart(positions, part, placeOf(0))), ...gaps];
    const index = await firstHolding(0, end - 1, isPlaced);
    const before = entries[index - 1];
    const first = before && (await positions.of(before.time));
    if (first === undefined || first - 1 <= placeOf(index)) return gaps;
    gaps.unshift({ index, first: first - 1, last: placeOf(index) + 1 });
    end = index;
    offset = first - 1 - (entries.length - index);
  }
  return gaps;
}

/** The gap before the first entry. */
async function gapAtStart(
  positions: Positions,
  { entries, isCut, since, tail }: ReadPart,
  place: number,
): Promise<readonly Gap[]> {
  const [oldest] = entries;
  if (oldest === undefined || isCut || (tail !== undefined && place >= tail)) return [];
  const before = await positions.at(place + 1);
  if (before === undefined || before.time < since || isSame(before, oldest)) return [];
  // it was skipped
  if (before.time > oldest.time) return [{ index: 0, first: place + 1, last: place + 1 }];
  const limits = { limit: oldest.time, since };
  const first = tail ?? (await firstPlace(positions, place + 1, limits));
  return [{ index: 0, first, last: place + 1 }];
}

/**
 * The place of the oldest line since a time that can be read, from a place on. Where the file begins with damage, what is
 * read is not older than a limit.
 */
async function firstPlace(
  positions: Positions,
  from: number,
  { limit, since }: { readonly limit: string; readonly since: string },
): Promise<number> {
  const isPast = async (place: number): Promise<boolean> => {
    const entry = await positions.near(place);
    return entry === undefined || entry.time >= limit || entry.time < since;
  };
  let found = from;
  while (found < mostLines && !(await isPast(found * 2))) found *= 2;
  return (await firstHolding(found, found * 2, isPast)) - 1;
}
