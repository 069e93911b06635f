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

/** A chunk of a stream that has no encoding. */
export function toBuffer(chunk: unknown): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
}
