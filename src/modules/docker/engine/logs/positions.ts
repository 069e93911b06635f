import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';

/** Entries as they come from the engine. */
export type Batches = AsyncIterable<readonly LogEntry[]>;

/** Asks the engine for the log of one container. */
export type ReadLog = (request: LogRequest) => Promise<Batches>;

/** No log has more lines than this: files are rotated, or the disk is full. */
const mostLines = 1 << 26;

/** Lines in a row that a power cut damages: NULs have no line feeds. */
const mostDamaged = 8;

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

  /** The place of the newest entry that is not later than a time; undefined when all are. */
  async of(time: string): Promise<number | undefined> {
    const isThere = (position: number): Promise<boolean> => this.#isAtMost(position, time);
    let below = 0;
    let found = 1;
    for (; !(await isThere(found)); found *= 4) {
      if (found > mostLines) return undefined;
      below = found;
    }
    return firstHolding(below, found, isThere);
  }

  /** Whether the line at a place is not later than a time; of a damaged one, whether the next one is. */
  async #isAtMost(position: number, time: string, left = mostDamaged): Promise<boolean> {
    const entry = await this.at(position);
    if (entry !== undefined && entry.time <= time) return true;
    const next = left > 0 ? await this.at(position - 1) : undefined;
    // from a damaged line the engine skips to a later one, past the next
    const isDamaged = next !== undefined && (entry === undefined || next.time <= entry.time);
    return isDamaged && this.#isAtMost(position - 1, time, left - 1);
  }
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
