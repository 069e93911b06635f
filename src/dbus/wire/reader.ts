import type { MessageHeader } from './message.ts';
import { alignmentOf, parseSignature, type Type } from './signature.ts';

const maxArrayBytes = 64 << 20;

/** Thrown when the arrays and dictionaries of a message have more elements than its receiver accepts. */
export class ElementLimitError extends RangeError {
  constructor(limit: number) {
    super(`arrays and dictionaries of more than ${limit} elements in all`);
  }
}

/** Reads one value of the type it was compiled for. */
export type ValueReader = (reader: WireReader) => unknown;

/** Reads the wire format within `[position, end)`; RangeError or TypeError when it is malformed. */
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

  /** Counts an element of an array or a dictionary: their number, not that of bytes, bounds the cost of decoding. */
  countElement(): void {
    if (++this.#elements > this.#maxElements) throw new ElementLimitError(this.#maxElements);
  }

  /** TypeError unless everything was read. */
  expectEnd(): void {
    if (this.position !== this.end) throw new TypeError('more bytes than its signature describes');
  }

  align(to: number): void {
    this.position = (this.position + to - 1) & ~(to - 1);
  }

  /** Advances past the next bytes and returns where they begin. */
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

const littleEndian = 0x6c;
const bigEndian = 0x42;
const maxMessageBytes = 128 << 20;

/** Bytes of a message before its header fields. */
export const fixedHeaderBytes = 16;
/** The largest fields of a header to be held; only the known fields of a larger one are extracted. */
export const maxFieldsBytes = 16 << 10;

/** Whether a header has more than 16 KiB of fields: such a call always fails with LimitsExceeded. */
export function isLargeHeader({ fieldsBytes }: { readonly fieldsBytes: number }): boolean {
  return fieldsBytes > maxFieldsBytes;
}

/** The first 16 bytes of a message, and what follows from them. */
export interface FixedHeader {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly littleEndian: boolean;
  readonly fieldsBytes: number;
  /** All bytes before the body. */
  readonly headerBytes: number;
  readonly bodyBytes: number;
}

/** Header fields by name; see the D-Bus specification, Header Fields. */
export interface HeaderFields {
  path?: string;
  interface?: string;
  member?: string;
  errorName?: string;
  replySerial?: number;
  destination?: string;
  sender?: string;
  signature?: string;
}

type TextField = Exclude<keyof HeaderFields, 'replySerial'>;

/** The names and types of text fields, by code. */
export const textFields: ReadonlyMap<number, readonly [TextField, 's' | 'o' | 'g']> = new Map([
  [1, ['path', 'o']],
  [2, ['interface', 's']],
  [3, ['member', 's']],
  [4, ['errorName', 's']],
  [6, ['destination', 's']],
  [7, ['sender', 's']],
  [8, ['signature', 'g']],
]);
/** The code of the one field that is a number. */
export const replySerialCode = 5;

/** Reads the first 16 bytes; TypeError when they cannot begin a message. */
export function parseFixedHeader(bytes: Buffer): FixedHeader {
  const order = bytes[0];
  if (order !== littleEndian && order !== bigEndian) throw new TypeError('not a D-Bus message');
  const little = order === littleEndian;
  const uint32 = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const bodyBytes = uint32(4);
  const fieldsBytes = uint32(12);
  const headerBytes = fixedHeaderBytes + Math.ceil(fieldsBytes / 8) * 8;
  if (headerBytes + bodyBytes > maxMessageBytes) {
    throw new TypeError('message larger than 128 MiB');
  }
  return {
    type: bytes[1] ?? 0,
    flags: bytes[2] ?? 0,
    serial: uint32(8),
    littleEndian: little,
    fieldsBytes,
    headerBytes,
    bodyBytes,
  };
}

/** Reads a header from the start of its message; TypeError or RangeError when it is malformed. */
export function parseHeader(bytes: Buffer, fixed: FixedHeader): MessageHeader {
  const end = fixedHeaderBytes + fixed.fieldsBytes;
  const reader = new WireReader(bytes.subarray(0, end), fixedHeaderBytes, {
    littleEndian: fixed.littleEndian,
    maxElements: 0,
  });
  const fields: HeaderFields = {};
  while (reader.position < end) {
    reader.align(8);
    readField(reader, fields);
  }
  return headerOf(fixed, fields);
}

/** Combines the parts of a header. */
export function headerOf(fixed: FixedHeader, fields: HeaderFields): MessageHeader {
  return {
    type: fixed.type,
    flags: fixed.flags,
    serial: fixed.serial,
    path: fields.path,
    interface: fields.interface,
    member: fields.member,
    errorName: fields.errorName,
    replySerial: fields.replySerial,
    destination: fields.destination,
    sender: fields.sender,
    signature: fields.signature ?? '',
    littleEndian: fixed.littleEndian,
    fieldsBytes: fixed.fieldsBytes,
    headerBytes: fixed.headerBytes,
    bodyBytes: fixed.bodyBytes,
  };
}

/** Reads one field, or skips an unknown one. The bus has validated names and paths. */
function readField(reader: WireReader, fields: HeaderFields): void {
  const code = reader.buffer[reader.take(1)] ?? 0;
  const type = reader.signature();
  const text = textFields.get(code);
  if (text !== undefined) {
    const [name, wanted] = text;
    if (type !== wanted) throw new TypeError(`header field ${code} of type ${type}`);
    fields[name] = wanted === 'g' ? reader.signature() : reader.string();
  } else if (code === replySerialCode) {
    if (type !== 'u') throw new TypeError(`header field ${code} of type ${type}`);
    fields.replySerial = reader.uint32();
  } else {
    skipField(reader, type);
  }
}

/** Skips a value, by its length where it has one; its type is one complete type. */
function skipField(reader: WireReader, type: string): void {
  const [code = '', element = ''] = type;
  if (code === 'a') {
    reader.position = reader.arrayEnd(alignmentOfCode(element));
    return;
  }
  const types = parseSignature(type);
  const [only] = types;
  if (types.length !== 1 || only === undefined)
    throw new TypeError('a field has one complete type');
  skipValue(reader, only, 0);
}

/** The alignment of a type by the first character of its signature, in bytes. */
export function alignmentOfCode(code: string): number {
  if ('ygv'.includes(code)) return 1;
  if ('nq'.includes(code)) return 2;
  return 'xtd({'.includes(code) ? 8 : 4;
}

const maxDepth = 64;

function skipValue(reader: WireReader, type: Type, depth: number): void {
  if (depth > maxDepth) throw new RangeError('nested too deeply');
  switch (type.code) {
    case 'ay':
      reader.position = reader.arrayEnd(1);
      return;
    case 'a':
      reader.position = reader.arrayEnd(alignmentOf(type.element));
      return;
    case 'a{':
      reader.position = reader.arrayEnd(8);
      return;
    case 's':
    case 'o':
      reader.take(reader.uint32() + 1);
      return;
    case 'g':
      reader.signature();
      return;
    case 'v':
      for (const inner of parseSignature(reader.signature())) skipValue(reader, inner, depth + 1);
      return;
    case '(':
      reader.align(8);
      for (const member of type.members) skipValue(reader, member, depth + 1);
      return;
    default:
      reader.align(alignmentOf(type));
      reader.take(alignmentOf(type)); // a fixed type is as large as its alignment
  }
}
