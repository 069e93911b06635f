import type { Message } from './message.ts';
import { type WireWriter, writersOf } from './writer.ts';

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

/** Appends a message and returns its size; on failure, such as RangeError above 32 MiB, the writer is as it was. */
export function writeMessage(writer: WireWriter, message: Message): number {
  const { body, signature } = message;
  const writers = writersOf(signature);
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
