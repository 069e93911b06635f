import { Readable } from 'node:stream';
import { ServiceError } from '../../../../errors.ts';

const longestLineBytes = 1 << 20;

/** The chunks of a response that was requested as a stream. */
export function iterable(stream: unknown): AsyncIterable<unknown> {
  if (stream instanceof Readable) return stream;
  throw new TypeError('the engine client answered no stream');
}

/** The JSON objects of a stream with one per line; other lines are skipped. */
export async function* jsonLines(stream: AsyncIterable<unknown>): AsyncGenerator<object> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    let bytes = Buffer.concat([rest, toBuffer(chunk)]);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      yield* parsed(bytes.subarray(0, end));
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > longestLineBytes) {
      throw new ServiceError('Unavailable', 'the container engine sent a line of over 1 MiB');
    }
    rest = bytes;
  }
  yield* parsed(rest);
}

function* parsed(line: Buffer): Generator<object> {
  if (line.length === 0) return;
  try {
    const value: unknown = JSON.parse(line.toString());
    if (typeof value === 'object' && value !== null) yield value;
  } catch {
    // a line that was cut off by the loss of the engine, which ends the stream too
  }
}

function toBuffer(chunk: unknown): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
}

/** The payload of a log stream: frames of 8 bytes of header, the last four of which are the length. */
export async function* demultiplexed(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let remaining = 0;
  for await (const chunk of stream) {
    rest = rest.length === 0 ? toBuffer(chunk) : Buffer.concat([rest, toBuffer(chunk)]);
    for (;;) {
      if (remaining === 0) {
        if (rest.length < 8) break;
        remaining = rest.readUInt32BE(4);
        rest = rest.subarray(8);
      }
      if (remaining > 0 && rest.length === 0) break;
      const part = rest.subarray(0, remaining);
      rest = rest.subarray(part.length);
      remaining -= part.length;
      if (part.length > 0) yield part;
    }
  }
}

/** The stream as it is: a container with a terminal has a log without frames. */
export async function* plain(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const chunk of stream) yield toBuffer(chunk);
}

/** The last whole lines of a stream that fit, as valid UTF-8. */
export async function lastLines(parts: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const kept: Buffer[] = [];
  let size = 0;
  let cut = false;
  for await (const part of parts) {
    // parts are views of larger chunks, which a copy does not retain
    kept.push(Buffer.from(part));
    size += part.length;
    for (let first = kept[0]; first !== undefined && size - first.length > maxBytes; ) {
      size -= first.length;
      kept.shift();
      cut = true;
      first = kept[0];
    }
  }
  const text = validUtf8(Buffer.concat(kept));
  if (!cut && text.length <= maxBytes) return text;
  const tail = text.subarray(Math.max(0, text.length - maxBytes));
  return tail.subarray(tail.indexOf(10) + 1);
}

/** The bytes with everything that is not UTF-8 replaced. */
function validUtf8(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString());
}
