import { isUtf8 } from 'node:buffer';
import type { LogEntry } from '../supervisor/module-type.ts';

/** What a text of a log begins its lines with. */
export interface LogTextOptions {
  /** The time of each line and a blank. */
  readonly timestamps: boolean;
}

/** The lines of a log as UTF-8, both streams in the order in which they were printed. */
export async function* logText(
  entries: AsyncIterable<readonly LogEntry[]>,
  { timestamps }: LogTextOptions,
): AsyncGenerator<Buffer> {
  const streams = { stdout: new StreamText(), stderr: new StreamText() };
  for await (const batch of entries) {
    const parts: (Uint8Array | string)[] = [];
    for (const { stream, text, time } of batch) {
      const state = streams[stream];
      if (timestamps && state.isAtStart && time !== '') parts.push(`${time} `);
      parts.push(state.add(text));
    }
    yield Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  }
  const rest = streams.stdout.end() + streams.stderr.end();
  if (rest !== '') yield Buffer.from(rest);
}

/** One stream, whose entries may end within a line, and within a character. */
class StreamText {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  isAtStart = true;
  #isWhole = true;

  add(text: Buffer): Uint8Array | string {
    this.isAtStart = text.at(-1) === 10;
    if (this.#isWhole && isUtf8(text)) return text;
    this.#isWhole = this.isAtStart; // no character goes on after a line feed
    return this.#decoder.decode(text, { stream: true });
  }

  end(): string {
    return this.#decoder.decode();
  }
}

/** The last whole lines of a text that fit; of a single line that does not, its end. */
export async function lastLines(parts: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const kept: Buffer[] = [];
  let size = 0;
  let cut = false;
  for await (const part of parts) {
    kept.push(part);
    size += part.length;
    for (let first = kept[0]; first !== undefined && size - first.length > maxBytes; ) {
      size -= first.length;
      kept.shift();
      cut = true;
      first = kept[0];
    }
  }
  const text = Buffer.concat(kept);
  if (!cut && text.length <= maxBytes) return text;
  const tail = text.subarray(Math.max(0, text.length - maxBytes));
  const start = tail.indexOf(10) + 1;
  return tail.subarray(start > 0 ? start : tail.findIndex((byte) => (byte & 0xc0) !== 0x80));
}
