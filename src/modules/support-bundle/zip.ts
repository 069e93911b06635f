/**
 * A zip file as a stream (APPNOTE.TXT 6.3.10): the sizes and checksum of an entry follow its data, so nothing is held in
 * memory. Without zip64 a file has at most 4 GiB and 65,535 entries.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createDeflateRaw } from 'node:zlib';

/** A file in a zip file. */
export interface ZipEntry {
  /** Its path, with `/`. */
  readonly name: string;
  readonly content: AsyncIterable<Uint8Array>;
}

/** An entry that was written. */
interface Written {
  readonly name: Buffer;
  readonly time: number;
  readonly offset: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
}

const maxSize = 0xffff_ffff;
const maxEntries = 0xffff;
/** The version that is needed to read data descriptors and deflated data. */
const version = 20;
/** Sizes follow the data (bit 3); names are UTF-8 (bit 11). */
const flags = 0x0808;
const deflated = 8;

/** The bytes of a zip file; an entry is produced when those before it are consumed. */
export async function* zip(
  entries: AsyncIterable<ZipEntry>,
  now: Date,
): AsyncGenerator<Uint8Array> {
  const written: Written[] = [];
  const time = dosTime(now);
  let offset = 0;
  for await (const { name, content } of entries) {
    const start = offset;
    const encoded = Buffer.from(name);
    const totals = { crc: 0, size: 0, compressed: 0 };
    for await (const part of entryParts({ name: encoded, content }, time, totals)) {
      offset += part.length;
      yield part;
    }
    written.push({ name: encoded, time, offset: start, ...totals });
    if (offset > maxSize || written.length > maxEntries) throw new Error('too much for a zip file');
  }
  const directory = Buffer.concat(written.map(directoryEntry));
  yield directory;
  yield endOfDirectory(written.length, directory.length, offset);
}

async function* entryParts(
  { name, content }: { readonly name: Buffer; readonly content: ZipEntry['content'] },
  time: number,
  totals: { crc: number; size: number; compressed: number },
): AsyncGenerator<Uint8Array> {
  yield Buffer.concat([
    fields([4, 0x04034b50], ...common(time), [4, 0], [4, 0], [4, 0], [2, name.length], [2, 0]),
    name,
  ]);
  const deflate = createDeflateRaw();
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      totals.crc = crc32(chunk, totals.crc);
      totals.size += chunk.length;
      yield chunk;
    }
  };
  const source = Readable.from(counted(), { objectMode: false });
  // its failure destroys the other stream, which is read below
  const done = pipeline(source, deflate).catch(() => undefined);
  try {
    for await (const chunk of deflate as AsyncIterable<Uint8Array>) {
      // without an encoding
      totals.compressed += chunk.length;
      yield chunk;
    }
  } finally {
    source.destroy();
    deflate.destroy();
    await done;
  }
  yield fields([4, 0x08074b50], ...sizes(totals));
}

function directoryEntry({ name, time, offset, ...totals }: Written): Buffer {
  const madeBy: Field = [2, (3 << 8) | version]; // Unix, for the mode
  const mode: Field = [4, 0o100600 * 0x10000];
  const head = fields([4, 0x02014b50], madeBy, ...common(time), ...sizes(totals));
  const tail = fields([2, name.length], [2, 0], [2, 0], [2, 0], [2, 0], mode, [4, offset]);
  return Buffer.concat([head, tail, name]);
}

function endOfDirectory(entries: number, size: number, offset: number): Buffer {
  return fields(
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, entries],
    [2, entries],
    [4, size],
    [4, offset],
    [2, 0],
  );
}

/** A number and its bytes. */
type Field = readonly [bytes: 2 | 4, value: number];

function common(time: number): readonly Field[] {
  return [
    [2, version],
    [2, flags],
    [2, deflated],
    [4, time],
  ];
}

function sizes({
  crc,
  compressed,
  size,
}: Pick<Written, 'crc' | 'compressed' | 'size'>): readonly Field[] {
  return [
    [4, crc],
    [4, compressed],
    [4, size],
  ];
}

function fields(...all: readonly Field[]): Buffer {
  const bytes = Buffer.alloc(all.reduce((sum, [length]) => sum + length, 0));
  let at = 0;
  for (const [length, value] of all) at = bytes.writeUIntLE(value, at, length);
  return bytes;
}

/** The time of MS-DOS, in UTC: the low half is the time in two seconds, the high half the date since 1980. */
function dosTime(time: Date): number {
  const date =
    (Math.max(0, time.getUTCFullYear() - 1980) << 9) |
    ((time.getUTCMonth() + 1) << 5) |
    time.getUTCDate();
  const clock =
    (time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1);
  return date * 0x10000 + clock;
}
