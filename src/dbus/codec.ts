import { type IncomingMessage, type Message, messageType } from './message.ts';
import { readersOf, WireReader } from './reader.ts';
import { type WireWriter, writersOf } from './writer.ts';

const littleEndian = 0x6c;
const bigEndian = 0x42;
/** Bytes of a message before its header fields. */
export const fixedHeaderBytes = 16;
const maxMessageBytes = 128 << 20;
/** dbus-daemon hangs up on whoever sends more. */
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

/** Appends a message; on failure, such as RangeError above 32 MiB, the writer is as it was before. */
export function writeMessage(writer: WireWriter, message: Message): void {
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
    if (writer.position - start > maxSentBytes) throw new RangeError('message larger than 32 MiB');
  } catch (error) {
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

/** Size of the message whose first 16 bytes these are; TypeError when no message begins so. */
export function messageSize(header: Buffer): number {
  const order = header[0];
  if (order !== littleEndian && order !== bigEndian) throw new TypeError('not a D-Bus message');
  const body = order === littleEndian ? header.readUInt32LE(4) : header.readUInt32BE(4);
  const size = headerSize(header) + body;
  if (size > maxMessageBytes) throw new TypeError('message larger than 128 MiB');
  return size;
}

/** Bytes before the body of a message whose first 16 bytes these are. */
export function headerSize(header: Buffer): number {
  const little = header[0] === littleEndian;
  const fields = little ? header.readUInt32LE(12) : header.readUInt32BE(12);
  return fixedHeaderBytes + Math.ceil(fields / 8) * 8;
}

interface HeaderFields {
  path?: unknown;
  interface?: unknown;
  member?: unknown;
  errorName?: unknown;
  replySerial?: unknown;
  destination?: unknown;
  sender?: unknown;
  signature?: unknown;
}
const fieldNames: readonly (keyof HeaderFields | undefined)[] = [
  undefined,
  'path',
  'interface',
  'member',
  'errorName',
  'replySerial',
  'destination',
  'sender',
  'signature',
];

/**
 * Reads the header of a message of that size; its body is read when it is looked at, since many a message is
 * refused unread. A bad header is a TypeError or RangeError.
 */
export function readMessage(bytes: Buffer, sizeBytes = bytes.length): IncomingMessage {
  const little = bytes[0] === littleEndian;
  const reader = new WireReader(bytes, 12, little);
  const fieldsEnd = fixedHeaderBytes + reader.uint32();
  const fields: HeaderFields = {};
  while (reader.position < fieldsEnd) {
    reader.align(8);
    const name = fieldNames[bytes[reader.take(1)] ?? 0];
    const value = readField(reader);
    if (name !== undefined) fields[name] = value;
  }
  reader.position = (fieldsEnd + 7) & ~7;
  return new ReceivedMessage(reader, fields, sizeBytes);
}

/** Fields have types of one character: these are read without looking a reader up. The bus checked their text. */
function readField(reader: WireReader): unknown {
  const { buffer, position } = reader;
  if (buffer[position] === 1 && buffer[position + 2] === 0) {
    const type = buffer[position + 1];
    reader.position = position + 3;
    if (type === typeOfString || type === typeOfPath) return reader.string();
    if (type === typeOfUint32) return reader.uint32();
    if (type === typeOfSignature) return reader.signature();
    reader.position = position;
  }
  return readersOf(reader.signature())[0]?.(reader);
}

class ReceivedMessage implements IncomingMessage {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly path: string | undefined;
  readonly interface: string | undefined;
  readonly member: string | undefined;
  readonly errorName: string | undefined;
  readonly replySerial: number | undefined;
  readonly destination: string | undefined;
  readonly sender: string | undefined;
  readonly signature: string;
  readonly sizeBytes: number;
  /** Stands at the body until that is read, then lets go of the bytes. */
  #reader: WireReader | undefined;
  #body: readonly unknown[] = [];
  #bodyError: Error | undefined;

  constructor(reader: WireReader, fields: HeaderFields, sizeBytes: number) {
    const { buffer, littleEndian: little } = reader;
    this.type = buffer[1] ?? 0;
    this.flags = buffer[2] ?? 0;
    this.serial = little ? buffer.readUInt32LE(8) : buffer.readUInt32BE(8);
    this.path = stringOf(fields.path);
    this.interface = stringOf(fields.interface);
    this.member = stringOf(fields.member);
    this.errorName = stringOf(fields.errorName);
    this.replySerial = typeof fields.replySerial === 'number' ? fields.replySerial : undefined;
    this.destination = stringOf(fields.destination);
    this.sender = stringOf(fields.sender);
    this.signature = stringOf(fields.signature) ?? '';
    this.sizeBytes = sizeBytes;
    this.#reader = reader;
  }

  get body(): readonly unknown[] {
    this.#read();
    return this.#body;
  }

  get bodyError(): Error | undefined {
    this.#read();
    return this.#bodyError;
  }

  #read(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#reader = undefined;
    try {
      this.#body = readersOf(this.signature).map((read) => read(reader));
    } catch (error) {
      this.#bodyError = error instanceof Error ? error : new TypeError('unreadable body');
    }
  }
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** True for the two types of message that answer a call. */
export function isReply(message: IncomingMessage): boolean {
  return message.type === messageType.reply || message.type === messageType.error;
}
