import { isObjectPathValid } from 'dbus-next/lib/validators.js';
import { alignmentOf, parseSignature, type Type } from './signature.ts';
import { variant } from './variant.ts';

const maxArrayBytes = 64 << 20;
/** The specification's limit for all nesting together. */
const maxVariantDepth = 64;

/** The arrays and dictionaries of a message have more elements than its receiver accepts. */
export class ElementLimitError extends RangeError {
  constructor(limit: number) {
    super(`arrays and dictionaries of more than ${limit} elements in all`);
  }
}

/** Reads the wire format within `[position, end)`; RangeError or TypeError for whatever does not fit. */
export class WireReader {
  readonly buffer: Buffer;
  readonly littleEndian: boolean;
  readonly end: number;
  position: number;
  variantDepth = 0;
  readonly #maxElements: number;
  #elements = 0;

  /** Alignment counts from the start of the buffer, which is that of a message or of a body. */
  constructor(
    buffer: Buffer,
    position: number,
    { littleEndian, maxElements }: { readonly littleEndian: boolean; readonly maxElements: number },
  ) {
    this.buffer = buffer;
    this.position = position;
    this.end = buffer.length;
    this.littleEndian = littleEndian;
    this.#maxElements = maxElements;
  }

  /** Counts one element of an array or a dictionary: what decoding costs is bounded by them, not by bytes. */
  countElement(): void {
    if (++this.#elements > this.#maxElements) throw new ElementLimitError(this.#maxElements);
  }

  /** TypeError unless everything was read. */
  expectEnd(): void {
    if (this.position !== this.end) throw new TypeError('more bytes than its signature says');
  }

  align(to: number): void {
    this.position = (this.position + to - 1) & ~(to - 1);
  }

  /** Steps over the next bytes and returns where they begin. */
  take(bytes: number): number {
    const at = this.position;
    this.position = at + bytes;
    if (this.position > this.end) throw new RangeError('message truncated');
    return at;
  }

  uint32(): number {
    this.align(4);
    const at = this.take(4);
    return this.littleEndian ? this.buffer.readUInt32LE(at) : this.buffer.readUInt32BE(at);
  }

  string(): string {
    const length = this.uint32();
    const at = this.take(length + 1);
    if (this.buffer[at + length] !== 0) throw new TypeError('string without its NUL');
    return this.buffer.toString('utf8', at, at + length);
  }

  signature(): string {
    const length = this.buffer[this.take(1)] ?? 0;
    const at = this.take(length + 1);
    return this.buffer.toString('latin1', at, at + length);
  }

  /** The end of an array whose length comes next. */
  arrayEnd(alignment: number): number {
    const length = this.uint32();
    if (length > maxArrayBytes) throw new RangeError('array larger than 64 MiB');
    this.align(alignment);
    if (this.position + length > this.end) throw new RangeError('message truncated');
    return this.position + length;
  }
}

/** Reads one value of the type it was compiled for. */
export type ValueReader = (reader: WireReader) => unknown;

const compiled = new Map<string, readonly ValueReader[]>();
const maxCompiled = 512;

/** One reader per complete type of a signature, compiled once. */
export function readersOf(signature: string): readonly ValueReader[] {
  let readers = compiled.get(signature);
  if (readers === undefined) {
    readers = parseSignature(signature).map(compile);
    if (compiled.size >= maxCompiled) compiled.clear();
    compiled.set(signature, readers);
  }
  return readers;
}

function fixed<T>(
  size: number,
  little: (buffer: Buffer, at: number) => T,
  big: (buffer: Buffer, at: number) => T,
): ValueReader {
  return (reader) => {
    reader.align(size);
    const at = reader.take(size);
    return reader.littleEndian ? little(reader.buffer, at) : big(reader.buffer, at);
  };
}

const basicReaders: Readonly<Record<string, ValueReader>> = {
  y: (reader) => reader.buffer[reader.take(1)],
  b: (reader) => {
    const value = reader.uint32();
    if (value > 1) throw new TypeError('a boolean is 0 or 1');
    return value === 1;
  },
  n: fixed(
    2,
    (buffer, at) => buffer.readInt16LE(at),
    (buffer, at) => buffer.readInt16BE(at),
  ),
  q: fixed(
    2,
    (buffer, at) => buffer.readUInt16LE(at),
    (buffer, at) => buffer.readUInt16BE(at),
  ),
  i: (reader) => reader.uint32() | 0,
  u: (reader) => reader.uint32(),
  h: (reader) => reader.uint32(),
  x: fixed(
    8,
    (buffer, at) => buffer.readBigInt64LE(at),
    (buffer, at) => buffer.readBigInt64BE(at),
  ),
  t: fixed(
    8,
    (buffer, at) => buffer.readBigUInt64LE(at),
    (buffer, at) => buffer.readBigUInt64BE(at),
  ),
  d: fixed(
    8,
    (buffer, at) => buffer.readDoubleLE(at),
    (buffer, at) => buffer.readDoubleBE(at),
  ),
  s: (reader) => reader.string(),
  o: (reader) => {
    const path = reader.string();
    if (!isObjectPathValid(path)) throw new TypeError('not an object path');
    return path;
  },
  g: (reader) => reader.signature(),
};

function readVariant(reader: WireReader): unknown {
  const signature = reader.signature();
  const readers = readersOf(signature);
  const [read] = readers;
  if (readers.length !== 1 || !read) throw new TypeError('a variant has one complete type');
  if (++reader.variantDepth > maxVariantDepth) throw new RangeError('variants nested too deeply');
  const value = read(reader);
  reader.variantDepth--;
  return variant(signature, value);
}

/** Bytes are copied: a view would keep the whole message, and what else it carried, alive. */
function readBytes(reader: WireReader): Buffer {
  const end = reader.arrayEnd(1);
  const at = reader.take(end - reader.position);
  return Buffer.from(reader.buffer.subarray(at, end));
}

function compile(type: Type): ValueReader {
  switch (type.code) {
    case 'v':
      return readVariant;
    case 'ay':
      return readBytes;
    case 'a':
      return arrayReader(type.element);
    case 'a{':
      return dictionaryReader(type.key, type.value);
    case '(':
      return structReader(type.members);
    default: {
      const read = basicReaders[type.code];
      if (read === undefined) throw new TypeError(`type ${type.code}`);
      return read;
    }
  }
}

function arrayReader(element: Type): ValueReader {
  const read = compile(element);
  const alignment = alignmentOf(element);
  return (reader) => {
    const end = reader.arrayEnd(alignment);
    const items: unknown[] = [];
    while (reader.position < end) {
      reader.countElement();
      items.push(read(reader));
    }
    if (reader.position !== end) throw new TypeError('array length does not fit its elements');
    return items;
  };
}

/** Dictionaries have no prototype, so that `__proto__` is a key like any other. */
function dictionaryReader(key: Type, element: Type): ValueReader {
  const readKey = compile(key);
  const read = compile(element);
  return (reader) => {
    const end = reader.arrayEnd(8);
    const entries = Object.create(null) as Record<string, unknown>; // null prototype types as any
    while (reader.position < end) {
      reader.countElement();
      reader.align(8);
      const name = String(readKey(reader));
      entries[name] = read(reader);
    }
    if (reader.position !== end) throw new TypeError('array length does not fit its elements');
    return entries;
  };
}

function structReader(members: readonly Type[]): ValueReader {
  const readers = members.map(compile);
  return (reader) => {
    reader.align(8);
    return readers.map((read) => read(reader));
  };
}
