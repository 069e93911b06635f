import { isObjectPathValid } from 'dbus-next/lib/validators.js';
import { alignmentOf, parseSignature, type Type } from './signature.ts';
import { Variant } from './variant.ts';

const maxArrayBytes = 64 << 20;
const maxMessageBytes = 128 << 20;
/** The specification's limit for all nesting together. */
const maxVariantDepth = 64;

/** A growing buffer of the little-endian wire format; positions count from `base`, the start of a message. */
export class WireWriter {
  buffer: Buffer;
  position = 0;
  base = 0;
  variantDepth = 0;

  constructor(sizeBytes = 4096) {
    this.buffer = Buffer.allocUnsafe(sizeBytes);
  }

  reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    if (needed - this.base > maxMessageBytes) throw new RangeError('message larger than 128 MiB');
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, needed + 1024));
    this.buffer.copy(grown, 0, 0, this.position);
    // what is written may be secret
    this.buffer.fill(0, 0, this.position);
    this.buffer = grown;
  }

  /** Wipes what was written, which may be secret, and begins anew. */
  wipe(): void {
    this.buffer.fill(0, 0, this.position);
    this.position = 0;
  }

  align(to: number): void {
    this.reserve(8);
    const end = this.position + ((to - ((this.position - this.base) & (to - 1))) & (to - 1));
    while (this.position < end) this.buffer[this.position++] = 0;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  uint32(value: number): void {
    this.align(4);
    this.reserve(4);
    this.patch(this.position, value);
    this.position += 4;
  }

  patch(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  string(value: string): void {
    this.align(4);
    this.reserve(value.length * 3 + 5);
    const length = this.buffer.write(value, this.position + 4, 'utf8');
    this.patch(this.position, length);
    this.position += length + 4;
    this.buffer[this.position++] = 0;
  }

  signature(value: string): void {
    this.reserve(value.length + 2);
    this.buffer[this.position++] = value.length;
    this.position += this.buffer.write(value, this.position, 'latin1');
    this.buffer[this.position++] = 0;
  }

  bytes(value: Uint8Array): void {
    if (value.length > maxArrayBytes) throw new RangeError('array larger than 64 MiB');
    this.uint32(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }
}

/** The elements of an array or a dictionary as they stand on the wire, from a multiple of 8 on. */
export class EncodedElements {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Writes one value of the type it was compiled for; TypeError when the value is of another. */
export type ValueWriter = (writer: WireWriter, value: unknown) => void;

const compiled = new Map<string, readonly ValueWriter[]>();
const maxCompiled = 512;

/** One writer per complete type of a signature, compiled once. */
export function writersOf(signature: string): readonly ValueWriter[] {
  let writers = compiled.get(signature);
  if (writers === undefined) {
    writers = parseSignature(signature).map(compile);
    if (compiled.size >= maxCompiled) compiled.clear();
    compiled.set(signature, writers);
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
  // the bus drops whoever sends a wrong path, so that must not leave the process
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

function compile(type: Type): ValueWriter {
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

/** Writes the length of what `write` appends before it, with the padding that D-Bus does not count. */
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
  const write = compile(element);
  const alignment = alignmentOf(element);
  return (writer, value) => {
    if (!Array.isArray(value)) expected('an array');
    lengthPrefixed(writer, alignment, () => {
      for (const item of value) write(writer, item);
    });
  };
}

function dictionaryWriter(key: Type, element: Type): ValueWriter {
  const writeKey = compile(key);
  const write = compile(element);
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
  const writers = members.map(compile);
  return (writer, value) => {
    if (!Array.isArray(value) || value.length !== writers.length) {
      expected(`a structure of ${writers.length} members`);
    }
    writer.align(8);
    for (let at = 0; at < writers.length; at++) writers[at]?.(writer, value[at]);
  };
}
