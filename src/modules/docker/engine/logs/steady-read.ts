/**
 * Docker 26 and later end a response at a damaged line with a message, and discard, by chance, lines before it that they
 * have read already: up to thousands, often all but the first. What reaches its `until` before that line is whole, though.
 */
import type { LogEntry, LogRequest } from '../../../supervisor/module-type.ts';
import { type Batches, endOf, isSame, Positions, type ReadLog } from './positions.ts';
import { later, nanosecondsOf, timeText } from './time-text.ts';

/** How often the engine is asked again when it has discarded everything, about one time in fourteen. */
const mostAttempts = 5;
const firstStep = 64;
/** The engine reads so many lines before it sends them. */
const longestStep = 4096;
const mostHeldBytes = 2 << 20;

/**
 * Reads what the engine has up to a damaged line, whole and without its messages, as Docker 20.10 does by itself. Followed
 * logs stay as they are.
 */
export function steadyRead(read: ReadLog): ReadLog {
  return async (request) => {
    const response = await read(request);
    return request.follow === true ? response : steady(read, request, response);
  };
}

async function* steady(
  read: ReadLog,
  request: LogRequest,
  first: Batches,
): AsyncGenerator<readonly LogEntry[]> {
  let response = first;
  for (let attempt = 1; ; attempt++) {
    const { last, count, isCut } = yield* linesOf(response);
    if (isCut && last !== undefined) {
      const { until } = request;
      yield* linesAfter(last, { read, near: endOf(request, count), until });
    }
    if (!isCut || last !== undefined || attempt === mostAttempts) return;
    response = await read(request);
  }
}

interface End {
  readonly last: LogEntry | undefined;
  readonly count: number;
  /** Whether lines after it may be missing. */
  readonly isCut: boolean;
}

/** The lines of a response; messages of the engine have no time. */
async function* linesOf(response: Batches): AsyncGenerator<readonly LogEntry[], End> {
  let last: LogEntry | undefined;
  let count = 0;
  let isCut = false;
  for await (const batch of response) {
    const lines = batch.filter(({ time }) => time !== '');
    isCut ||= lines.length < batch.length;
    last = lines.at(-1) ?? last;
    count += lines.length;
    if (lines.length > 0) yield lines;
  }
  return { last, count, isCut };
}

interface Rest {
  readonly read: ReadLog;
  /** Where the known line probably is. */
  readonly near: number | undefined;
  readonly until: bigint | undefined;
}

/** The lines after a known one, up to a damaged one or a time: in steps that double while they are whole. */
async function* linesAfter(
  known: LogEntry,
  { read, near, until }: Rest,
): AsyncGenerator<readonly LogEntry[]> {
  const positions = new Positions(steadyRead(read));
  const end = until === undefined ? later : timeText(until);
  let last = known;
  let place = await positions.placeOf(last, near);
  for (let step = firstStep, misses = 0; misses < mostAttempts; ) {
    if (place === undefined || place === 1) return;
    const ahead = Math.min(step, place - 1);
    const target = await positions.at(place - ahead);
    const isThere = target !== undefined && target.time >= last.time && target.time <= end;
    let passed: readonly LogEntry[] | undefined = [];
    if (isThere && ahead > 1) {
      const until = nanosecondsOf(target.time);
      passed = await entriesAfter(last, await read({ tail: place, until }));
    } else if (ahead === 1) {
      const isDirectly = isSame(await positions.at(place), last);
      if (isDirectly && !isThere) return;
      passed = isDirectly && isThere ? [target] : undefined;
    }
    const newest = passed?.at(-1);
    const isWhole = newest !== undefined && isThere && newest.time >= target.time;
    step = isWhole ? Math.min(ahead * 2, longestStep) : Math.max(1, Math.floor(ahead / 2));
    if (passed === undefined) {
      // lines that came meanwhile have moved all others
      place = await positions.placeOf(last, place);
      misses++;
    } else if (newest !== undefined) {
      yield passed;
      place -= passed.length;
      if (!isSame(newest, last)) misses = 0; // else it may be a place before the beginning of the log
      last = newest;
    }
  }
}

/** What follows a known entry in a response, as much as fits; undefined when it does not begin with that entry. */
async function entriesAfter(
  known: LogEntry,
  response: Batches,
): Promise<readonly LogEntry[] | undefined> {
  const entries: LogEntry[] = [];
  let bytes = 0;
  for await (const batch of response) {
    for (const entry of batch) {
      if (entry.time === '') continue;
      if (entries.length === 0 && !isSame(entry, known)) return undefined;
      entries.push(entry);
      bytes += entry.text.length;
    }
    if (bytes > mostHeldBytes) break;
  }
  return entries.slice(1);
}
