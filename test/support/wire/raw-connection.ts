import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import type { IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Inbox } from '../../../src/dbus/wire/inbox.ts';
import { deadline, until } from '../deadline.ts';

/** A handmade message, which may be anything that the bus forwards. */
export interface RawMessage {
  readonly type: number;
  readonly flags?: number;
  readonly destination?: string;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly signature?: string;
  readonly body?: Buffer;
  /** A header field that is not in the specification: the bytes of its variant. */
  readonly unknownField?: Buffer;
}

/** A D-Bus client on a plain socket, which also sends messages that the library refuses. */
export class RawConnection implements Disposable {
  readonly received: IncomingMessage[] = [];
  readonly #socket: Socket;
  readonly #inbox = new Inbox(() => Number.POSITIVE_INFINITY);
  #serial = 0;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => undefined); // the bus may disconnect: see `closed`
    socket.on('close', () => {
      this.#closed = true;
    });
  }

  static async open(path: string): Promise<RawConnection> {
    const socket = createConnection(path);
    await deadline(5000, once(socket, 'connect'), 'the bus');
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    await deadline(5000, once(socket, 'data'), 'OK');
    socket.write('NEGOTIATE_UNIX_FD\r\n');
    await deadline(5000, once(socket, 'data'), 'AGREE_UNIX_FD');
    socket.write('BEGIN\r\n');
    const connection = new RawConnection(socket);
    const driver = 'org.freedesktop.DBus';
    const hello = { destination: driver, path: '/', interface: driver, member: 'Hello' };
    await connection.call({ type: 1, ...hello });
    return connection;
  }

  /** Whether the bus has closed this connection. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Stops reading from the socket. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Sends a message and returns its serial. */
  send(message: RawMessage): number {
    this.#serial++;
    this.#socket.write(encodeRaw(message, this.#serial));
    return this.#serial;
  }

  /** Sends a message and waits for its reply. */
  async call(message: RawMessage, timeoutMs = 30_000): Promise<IncomingMessage> {
    const serial = this.send(message);
    const what = `a reply to ${message.member ?? 'a message'}`;
    await until(timeoutMs, what, () => this.#closed || this.replyTo(serial) !== undefined);
    return this.replyTo(serial) ?? this.#none();
  }

  replyTo(serial: number): IncomingMessage | undefined {
    return this.received.find(({ header }) => header.replySerial === serial);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #none(): never {
    throw new TypeError('the bus closed the connection without a reply');
  }

  #receive(chunk: Buffer): void {
    this.#inbox.add(chunk);
    for (let next = this.#inbox.next(); next; next = this.#inbox.next()) {
      next.detach();
      this.received.push(next);
    }
  }
}

/** A message in the wire format. */
export function encodeRaw(message: RawMessage, serial: number): Buffer {
  const body = message.body ?? Buffer.alloc(0);
  const fields = [
    textField(1, 'o', message.path),
    textField(2, 's', message.interface),
    textField(3, 's', message.member),
    textField(4, 's', message.errorName),
    serialField(message.replySerial),
    textField(6, 's', message.destination),
    signatureField(message.signature),
    unknownField(message.unknownField),
  ].reduce((before, field) =>
    field.length === 0 ? before : Buffer.concat([padded(before), field]),
  );
  const header = Buffer.alloc(16);
  header.write('l', 0, 'latin1');
  header.writeUInt8(message.type, 1);
  header.writeUInt8(message.flags ?? 0, 2);
  header.writeUInt8(1, 3);
  header.writeUInt32LE(body.length, 4);
  header.writeUInt32LE(serial, 8);
  header.writeUInt32LE(fields.length, 12);
  return Buffer.concat([header, padded(fields), body]);
}

function textField(code: number, type: string, value: string | undefined): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  const text = Buffer.from(`${value}\0`);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length - 1);
  return Buffer.concat([Buffer.from([code, 1, type.charCodeAt(0), 0]), length, text]);
}

function serialField(serial: number | undefined): Buffer {
  if (serial === undefined) return Buffer.alloc(0);
  const field = Buffer.from('\x05\x01u\0\0\0\0\0');
  field.writeUInt32LE(serial, 4);
  return field;
}

function signatureField(signature: string | undefined): Buffer {
  if (signature === undefined) return Buffer.alloc(0);
  return Buffer.from(`\x08\x01g\0${String.fromCharCode(signature.length)}${signature}\0`);
}

function unknownField(value: Buffer = Buffer.alloc(0)): Buffer {
  return value.length === 0 ? value : Buffer.concat([Buffer.of(200), value]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}
