/** Reads entries of a log from the engine's stream, in which each of them begins with its time. */
import { ServiceError } from '../../../../errors.ts';
import type { LogEntry } from '../../../supervisor/module-type.ts';
import { toBuffer } from '../connection/streams.ts';

const headerBytes = 8;
const longestFrame = 2 << 20;
/** A longer line is an entry per so many bytes. */
const longestEntry = 16 << 10;
const longestTime = 40;
const timePattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) /;
/** As the engine writes it; one of a module may have fewer digits. */
const innerTime = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /;
const replacement = Buffer.from('\ufffd');

/** The entries of a stream of frames: a header with the number of the stream and a length, and one entry. */
export async function* framedEntries(
  stream: AsyncIterable<unknown>,
): AsyncGenerator<readonly LogEntry[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? toBuffer(chunk) : Buffer.concat([rest, toBuffer(chunk)]);
    const entries: LogEntry[] = [];
    let at = 0;
    for (; rest.length - at >= headerBytes; ) {
      const start = at + headerBytes;
      const length = rest.readUInt32BE(at + 4);
      if (length > longestFrame) {
        throw new ServiceError('Unavailable', 'the container engine sent a frame of over 2 MiB');
      }
      if (rest.length - start < length) break;
      const name = rest.readUInt8(at) === 1 ? 'stdout' : 'stderr';
      entries.push(entryOf(name, rest.subarray(start, start + length)));
      at = start + length;
    }
    rest = rest.subarray(at);
    if (entries.length > 0) yield entries;
  }
}

/**
 * The entries of a container with a terminal, whose log has no frames: what follows a time is a line, or 16 KiB of one,
 * which are more where the engine has replaced bytes that are no UTF-8. What has no time of its own behind a part of a line
 * has that of the part: an entry without a time would be a message of the engine.
 */
export async function* terminalEntries(
  stream: AsyncIterable<unknown>,
): AsyncGenerator<readonly LogEntry[]> {
  let rest: Buffer = Buffer.alloc(0);
  let last: LogEntry | undefined;
  for await (const chunk of stream) {
    rest = rest.length === 0 ? toBuffer(chunk) : Buffer.concat([rest, toBuffer(chunk)]);
    const entries: LogEntry[] = [];
    for (let length = entryLength(rest); length > 0; length = entryLength(rest)) {
      last = terminalEntryOf(rest.subarray(0, length), last);
      entries.push(last);
      rest = rest.subarray(length);
    }
    if (entries.length > 0) yield entries;
  }
  if (rest.length > 0) yield [terminalEntryOf(rest, last)];
}

function terminalEntryOf(bytes: Buffer, before: LogEntry | undefined): LogEntry {
  const entry = entryOf('stdout', bytes);
  const isContinuation = entry.time === '' && before !== undefined && before.text.at(-1) !== 10;
  return isContinuation ? { ...entry, time: before.time } : entry;
}

/** The length of the first entry, 0 while its end is unknown. */
function entryLength(bytes: Buffer): number {
  const start = timeOf(bytes).length + 1;
  const least = start + longestEntry;
  const end = bytes.subarray(0, least).indexOf(10) + 1;
  if (end > 0) return end;
  return bytes.length < least ? 0 : longEntryLength(bytes, least);
}

/** As `entryLength`, of an entry without a line feed in its first 16 KiB: these end at `least` if nothing was replaced. */
function longEntryLength(bytes: Buffer, least: number): number {
  let most = least;
  for (let at = bytes.indexOf(replacement); at >= 0 && at < most; ) {
    most += replacement.length - 1; // for one byte
    at = bytes.indexOf(replacement, at + replacement.length);
  }
  const line = bytes.subarray(least, most).indexOf(10) + 1;
  if (line === 0 && timeOf(bytes.subarray(most)) !== '') return most;
  const end = line > 0 ? least + line : most;
  // what the module itself printed so has three bytes
  const inner = innerTime.exec(bytes.toString('latin1', least, end + longestTime));
  if (inner !== null && least + inner.index < end) return least + inner.index;
  return bytes.length < end ? 0 : end;
}

function entryOf(stream: LogEntry['stream'], bytes: Buffer): LogEntry {
  const time = timeOf(bytes);
  return { stream, time, text: time === '' ? bytes : bytes.subarray(time.length + 1) };
}

function timeOf(bytes: Buffer): string {
  return timePattern.exec(bytes.toString('latin1', 0, longestTime))?.[1] ?? '';
}
