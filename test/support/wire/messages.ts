import { writersOf } from '../../../src/dbus/wire/codec.ts';
import { Inbox, type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message } from '../../../src/dbus/wire/message.ts';
import { WireWriter, writeMessage } from '../../../src/dbus/wire/writer.ts';

/** A message in the wire format. */
export function bytesOfMessage(fields: ConstructorParameters<typeof Message>[0]): Buffer {
  const writer = new WireWriter();
  appendMessage(writer, new Message({ serial: 1, ...fields }));
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

/** Appends a message and returns its size. */
export function appendMessage(writer: WireWriter, message: Message): number {
  return writeMessage(writer, message, writersOf(message.signature));
}

/** Values in the wire format of a body with this signature. */
export function bytesOfBody(signature: string, ...values: readonly unknown[]): Buffer {
  const writer = new WireWriter();
  writersOf(signature).forEach((write, at) => write(writer, values[at]));
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

/** Decodes exactly one message, of any size; undefined when it is malformed. */
export function receive(bytes: Buffer): IncomingMessage | undefined {
  const inbox = new Inbox(() => Number.POSITIVE_INFINITY);
  inbox.add(bytes);
  const message = inbox.next();
  message?.detach();
  return message;
}

/** A received call with this body. */
export function callWith(signature: string, body: readonly unknown[], flags = 0): IncomingMessage {
  const fields = { path: '/', interface: 'a.b', member: 'C', flags, signature, body };
  const message = receive(bytesOfMessage(fields));
  if (message === undefined) throw new TypeError('a call that cannot be received');
  return message;
}
