import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';

/** Entries as they come from the engine. */
export type Batches = AsyncIterable<readonly LogEntry[]>;

/** Asks the engine for the log of one container. */
export type ReadLog = (request: LogRequest) => Promise<Batches>;

/** No log has more lines than this: files are rotated, or the disk is full. */
export const mostLines = 1 << 26;

/** Lines in a row that a power cut damages: NULs have no line feeds. */
const mostDamaged = 8;
/** Of those, lines from which nothing can be read. */
const mostUnreadable = 4;

/** How many lines come, at most, between two requests for places. */
const mostMoved = 16;

/** Places in a log as the engine counts them: the newest line is at 1. It counts line feeds, so damage shifts nothing. */
export class Positions {
  readonly #read: ReadLog;

  constructor(read: ReadLog) {
    this.#read = read;
  }

  /** The entry at a place, or the first that can be read after it; undefined when there is none. */
  async at(position: number): Promise<LogEntry | undefined> {
    if (position < 1) return undefined;
    for await (const batch of await this.#read({ tail: position })) {
      const entry = batch.find(({ time }) => time !== '');
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** As `at`; where nothing can be read from a place on, the entry at the next place from which something can. */
  async near(position: number): Promise<LogEntry | undefined> {
    for (let step = 0; step <= mostUnreadable; step++) {
      const entry = await this.at(position - step);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** The place of the newest entry that is not later than a time, probably `near`; undefined when all are later. */
  async of(time: string, near = 0): Promise<number | undefined> {
    const isThere = (position: number): Promise<boolean> => this.#isAtMost(position, time);
    if (near > 0 && (await isThere(near)) && !(await isThere(near - 1))) return near;
    let below = 0;
    let found = 1;
    for (; !(await isThere(found)); found *= 4) {
      if (found > mostLines) return undefined;
      below = found;
    }
    return firstHolding(below, found, isThere);
  }

  /** The place of an entry, which lines that come have moved on from a place where it was; undefined when it is not found. */
  async placeOf(entry: LogEntry, near?: number): Promise<number | undefined> {
    const from = near ?? (await this.of(entry.time));
    if (from === undefined) return undefined;
    for (let place = from; place < from + mostMoved; place++) {
      if (!isSame(await this.at(place), entry)) continue;
      // before the beginning of the log the engine has its first line again
      const isAgain = near !== undefined && isSame(await this.at(place - 1), entry);
      const isBeyond = isAgain && isSame(await this.at(mostLines), entry);
      return isBeyond ? this.placeOf(entry) : place;
    }
    return near === undefined ? undefined : this.placeOf(entry);
  }

  /**
   * Whether the line at a place is not later than a time; of a damaged one, whether the next one is. Where none can be read,
   * it is before a log that begins with damage.
   */
  async #isAtMost(position: number, time: string, left = mostDamaged): Promise<boolean> {
    if (position < 1) return false;
    const entry = await this.near(position);
    if (entry === undefined) return position > mostUnreadable;
    if (entry.time <= time) return true;
    const next = left > 0 ? await this.at(position - 1) : undefined;
    // from a damaged line the engine skips to a later one, past the next
    const isDamaged = next !== undefined && next.time <= entry.time;
    return isDamaged && this.#isAtMost(position - 1, time, left - 1);
  }
}

/** Where the last of a number of entries is that were read by a number of last lines, if there were as many. */
export function endOf({ tail, since }: LogRequest, entries: number): number | undefined {
  const place = tail === undefined ? 0 : tail - entries + 1;
  return since === undefined && place > 0 ? place : undefined;
}

/** The smallest number above `below` for which a condition holds that holds for all numbers from there to `found`. */
export async function firstHolding(
  below: number,
  found: number,
  holds: (at: number) => Promise<boolean>,
): Promise<number> {
  let [low, high] = [below, found];
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2);
    if (await holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Whether two entries are the same one. */
export function isSame(one: LogEntry | undefined, other: LogEntry | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one.time === other.time && one.stream === other.stream && one.text.equals(other.text);
}
