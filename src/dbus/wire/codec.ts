/** Decodes and encodes values: one reader and one writer for each complete type of a signature, compiled once. */
import { isObjectPathValid } from 'dbus-next/lib/validators.js';
import type { ValueReader, WireReader } from './reader.ts';
import { alignmentOf, parseSignature, type Type } from './signature.ts';
import { Variant, variant } from './variant.ts';
import { maxArrayBytes, type ValueWriter, type WireWriter } from './writer.ts';

/** The specification's limit for all nesting together. */
const maxVariantDepth = 64;
const maxCompiled = 512;
const compiledReaders = new Map<string, readonly ValueReader[]>();
const compiledWriters = new Map<string, readonly ValueWriter[]>();

/** One reader per complete type of a signature, compiled once. */
export function readersOf(signature: string): readonly ValueReader[] {
  let readers = compiledReaders.get(signature);
  if (readers === undefined) {
    readers = parseSignature(signature).map(compileReader);
    if (compiledReaders.size >= maxCompiled) compiledReaders.clear();
    compiledReaders.set(signature, readers);
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

/** Bytes are copied: a view would retain the whole message, and other secrets with it. */
function readBytes(reader: WireReader): Buffer {
  const end = reader.arrayEnd(1);
  const at = reader.take(end - reader.position);
  return Buffer.from(reader.buffer.subarray(at, end));
}

function compileReader(type: Type): ValueReader {
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
  const read = compileReader(element);
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
  const readKey = compileReader(key);
  const read = compileReader(element);
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
  const readers = members.map(compileReader);
  return (reader) => {
    reader.align(8);
    return readers.map((read) => read(reader));
  };
}

/** The encoded elements of an array or a dictionary, aligned to 8. */
export class EncodedElements {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** One writer per complete type of a signature, compiled once. */
export function writersOf(signature: string): readonly ValueWriter[] {
  let writers = compiledWriters.get(signature);
  if (writers === undefined) {
    writers = parseSignature(signature).map(compileWriter);
    if (compiledWriters.size >= maxCompiled) compiledWriters.clear();
    compiledWriters.set(signature, writers);
  }
  return writers;
}

function expected(what: string): never {
  throw new TypeError(`expected ${what}`);
}

function integer(value: unknown, low: number, high: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
    expected(`an integer from ${low} to ${high}`);
  }
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.includes('\0')) expected('a string without NUL');
  return value;
}

function bigInteger(value: unknown, low: bigint, high: bigint): bigint {
  const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof number !== 'bigint' || number < low || number > high) expected('a 64-bit integer');
  return number;
}

const basicWriters: Readonly<Record<string, ValueWriter>> = {
  y: (writer, value) => writer.byte(integer(value, 0, 0xff)),
  b: (writer, value) => {
    if (typeof value !== 'boolean') expected('a boolean');
    writer.uint32(value ? 1 : 0);
  },
  n: (writer, value) => {
    const number = integer(value, -0x8000, 0x7fff);
    writer.align(2);
    writer.reserve(2);
    writer.position = writer.buffer.writeInt16LE(number, writer.position);
  },
  q: (writer, value) => {
    const number = integer(value, 0, 0xffff);
    writer.align(2);
    writer.reserve(2);
    writer.position = writer.buffer.writeUInt16LE(number, writer.position);
  },
  i: (writer, value) => writer.uint32(integer(value, -0x80000000, 0x7fffffff)),
  u: (writer, value) => writer.uint32(integer(value, 0, 0xffffffff)),
  x: (writer, value) => {
    const number = bigInteger(value, -(1n << 63n), (1n << 63n) - 1n);
    writer.align(8);
    writer.reserve(8);
    writer.position = writer.buffer.writeBigInt64LE(number, writer.position);
  },
  t: (writer, value) => {
    const number = bigInteger(value, 0n, (1n << 64n) - 1n);
    writer.align(8);
    writer.reserve(8);
    writer.position = writer.buffer.writeBigUInt64LE(number, writer.position);
  },
  d: (writer, value) => {
    if (typeof value !== 'number') expected('a number');
    writer.align(8);
    writer.reserve(8);
    writer.position = writer.buffer.writeDoubleLE(value, writer.position);
  },
  s: (writer, value) => writer.string(text(value)),
  // the bus disconnects a peer that sends an invalid path
  o: (writer, value) => {
    const path = text(value);
    if (!isObjectPathValid(path)) expected('an object path');
    writer.string(path);
  },
  g: (writer, value) => {
    parseSignature(text(value));
    writer.signature(text(value));
  },
  h: () => expected('no file descriptor: they are not carried here'),
};

function writeVariant(writer: WireWriter, value: unknown): void {
  if (!(value instanceof Variant)) expected('a variant');
  const writers = writersOf(value.signature);
  const [write] = writers;
  if (writers.length !== 1 || !write) expected('a variant of one complete type');
  if (++writer.variantDepth > maxVariantDepth) throw new RangeError('variants nested too deeply');
  writer.signature(value.signature);
  write(writer, value.value);
  writer.variantDepth--;
}

function compileWriter(type: Type): ValueWriter {
  switch (type.code) {
    case 'v':
      return writeVariant;
    case 'ay':
      return (writer, value) => {
        if (!(value instanceof Uint8Array)) expected('bytes');
        writer.bytes(value);
      };
    case 'a':
      return arrayWriter(type.element);
    case 'a{':
      return dictionaryWriter(type.key, type.value);
    case '(':
      return structWriter(type.members);
    default:
      return basicWriters[type.code] ?? expected(`a type other than ${type.code}`);
  }
}

/** Writes the elements that `write` appends with their length before them, which excludes the padding. */
function lengthPrefixed(writer: WireWriter, alignment: number, write: () => void): void {
  writer.uint32(0);
  const at = writer.position - 4;
  writer.align(alignment);
  const start = writer.position;
  write();
  if (writer.position - start > maxArrayBytes) throw new RangeError('array larger than 64 MiB');
  writer.patch(at, writer.position - start);
}

function arrayWriter(element: Type): ValueWriter {
  const write = compileWriter(element);
  const alignment = alignmentOf(element);
  return (writer, value) => {
    if (!Array.isArray(value)) expected('an array');
    lengthPrefixed(writer, alignment, () => {
      for (const item of value) write(writer, item);
    });
  };
}

function dictionaryWriter(key: Type, element: Type): ValueWriter {
  const writeKey = compileWriter(key);
  const write = compileWriter(element);
  return (writer, value) => {
    if (typeof value !== 'object' || value === null) expected('a dictionary');
    if (value instanceof EncodedElements) {
      lengthPrefixed(writer, 8, () => writer.raw(value.bytes));
      return;
    }
    const entries = value instanceof Map ? value.entries() : Object.entries(value);
    lengthPrefixed(writer, 8, () => {
      for (const [name, item] of entries) {
        writer.align(8);
        writeKey(writer, name);
        write(writer, item);
      }
    });
  };
}

function structWriter(members: readonly Type[]): ValueWriter {
  const writers = members.map(compileWriter);
  return (writer, value) => {
    if (!Array.isArray(value) || value.length !== writers.length) {
      expected(`a structure of ${writers.length} members`);
    }
    writer.align(8);
    for (let at = 0; at < writers.length; at++) writers[at]?.(writer, value[at]);
  };
}
