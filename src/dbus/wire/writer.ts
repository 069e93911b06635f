import type { Message } from './message.ts';

/** D-Bus specification, Type System. */
export const maxArrayBytes = 64 << 20;
const maxMessageBytes = 128 << 20;
const littleEndian = 0x6c;
/** dbus-daemon disconnects a peer that sends more. */
const maxSentBytes = 32 << 20;

const field = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  signature: 8,
} as const;
const typeOfString = 0x73;
const typeOfPath = 0x6f;
const typeOfUint32 = 0x75;
const typeOfSignature = 0x67;

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
    // the bytes may be secret
    this.buffer.fill(0, 0, this.position);
    this.buffer = grown;
  }

  /** Wipes the bytes, which may be secret, and resets the position. */
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

/** Writes one value of the type it was compiled for; TypeError when the value is of another. */
export type ValueWriter = (writer: WireWriter, value: unknown) => void;

/** Appends a message and returns its size; a failure, such as RangeError above 32 MiB, leaves the writer unchanged. */
export function writeMessage(
  writer: WireWriter,
  message: Message,
  writers: readonly ValueWriter[],
): number {
  const { body, signature } = message;
  if (writers.length !== body.length) {
    throw new TypeError(
      `signature ${signature} needs ${writers.length} values, not ${body.length}`,
    );
  }
  const start = writer.position;
  const outerBase = writer.base;
  writer.base = start;
  writer.variantDepth = 0;
  try {
    writeHeader(writer, message, start);
    const bodyStart = writer.position;
    for (let at = 0; at < writers.length; at++) writers[at]?.(writer, body[at]);
    writer.patch(start + 4, writer.position - bodyStart);
    const size = writer.position - start;
    if (size > maxSentBytes) throw new RangeError('message larger than 32 MiB');
    return size;
  } catch (error) {
    writer.buffer.fill(0, start, writer.position);
    writer.position = start;
    throw error;
  } finally {
    writer.base = outerBase;
  }
}

function writeHeader(writer: WireWriter, message: Message, start: number): void {
  writer.reserve(64);
  writer.byte(littleEndian);
  writer.byte(message.type);
  writer.byte(message.flags);
  writer.byte(1);
  writer.uint32(0);
  writer.uint32(message.serial);
  writer.uint32(0);
  const fields = writer.position;
  writeStringField(writer, field.path, message.path, typeOfPath);
  writeStringField(writer, field.interface, message.interface);
  writeStringField(writer, field.member, message.member);
  writeStringField(writer, field.errorName, message.errorName);
  if (message.replySerial !== undefined) {
    beginField(writer, field.replySerial, typeOfUint32);
    writer.uint32(message.replySerial);
  }
  writeStringField(writer, field.destination, message.destination);
  if (message.signature !== '') {
    beginField(writer, field.signature, typeOfSignature);
    writer.signature(message.signature);
  }
  writer.patch(start + 12, writer.position - fields);
  writer.align(8);
}

function beginField(writer: WireWriter, code: number, type: number): void {
  writer.align(8);
  writer.reserve(4);
  writer.byte(code);
  writer.byte(1);
  writer.byte(type);
  writer.byte(0);
}

function writeStringField(
  writer: WireWriter,
  code: number,
  value: string | undefined,
  type: number = typeOfString,
): void {
  if (value === undefined) return;
  beginField(writer, code, type);
  writer.string(value);
}
