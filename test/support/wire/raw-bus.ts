import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inbox, type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { messageType } from '../../../src/dbus/wire/message.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { bytesOfMessage } from './messages.ts';

const replies: Readonly<Record<string, { signature: string; body: readonly unknown[] }>> = {
  Hello: { signature: 's', body: [':1.1'] },
  RequestName: { signature: 'u', body: [1] },
  GetConnectionCredentials: {
    signature: 'a{sv}',
    body: [{ UnixUserID: variant('u', 1000), ProcessID: variant('u', 1) }],
  },
};

/** A bus with one client, which forwards all bytes of a test, valid or not. */
export class RawBus implements AsyncDisposable {
  readonly address: string;
  /** The messages of the client, except calls to the bus. */
  readonly received: IncomingMessage[] = [];
  readonly #directory: string;
  readonly #server: Server;
  readonly #inbox = new Inbox(() => Number.POSITIVE_INFINITY);
  #client: Socket | undefined;
  #begun = false;

  private constructor(directory: string, server: Server) {
    this.#directory = directory;
    this.address = `unix:path=${join(directory, 'bus')}`;
    this.#server = server;
    server.on('connection', (socket) => {
      this.#client = socket;
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => this.#data(socket, chunk));
    });
  }

  static async start(): Promise<RawBus> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-raw-bus-'));
    const server = createServer().listen(join(directory, 'bus'));
    await once(server, 'listening');
    return new RawBus(directory, server);
  }

  /** Sends bytes to the client unchanged. */
  send(bytes: Buffer): void {
    this.#client?.write(bytes);
  }

  /** The reply to the call with this serial. */
  replyTo(serial: number): IncomingMessage | undefined {
    return this.received.find(({ header }) => header.replySerial === serial);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.destroy();
    this.#server.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #data(socket: Socket, chunk: Buffer): void {
    if (this.#begun) {
      this.#inbox.add(chunk);
      for (let next = this.#inbox.next(); next; next = this.#inbox.next()) this.#take(next);
      return;
    }
    const text = chunk.toString('latin1');
    const begin = text.indexOf('BEGIN\r\n');
    if (begin >= 0) {
      this.#begun = true;
      this.#data(socket, chunk.subarray(begin + 'BEGIN\r\n'.length));
    } else {
      socket.write(text.startsWith('NEGOTIATE_UNIX_FD') ? 'AGREE_UNIX_FD\r\n' : 'OK 00\r\n');
    }
  }

  #take(message: IncomingMessage): void {
    const { type, destination, member = '', serial } = message.header;
    message.detach();
    if (type !== messageType.call || destination !== 'org.freedesktop.DBus') {
      this.received.push(message);
      return;
    }
    const reply = replies[member] ?? { signature: '', body: [] };
    this.send(bytesOfMessage({ type: messageType.reply, replySerial: serial, ...reply }));
  }
}

/** A message with its sender, as a bus forwards it. */
export function withSender(message: Buffer, sender: string): Buffer {
  const text = Buffer.from(`\x07\x01s\0\0\0\0\0${sender}\0`, 'latin1');
  text.writeUInt32LE(Buffer.byteLength(sender, 'latin1'), 4);
  const field = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8)]);
  const out = Buffer.concat([message.subarray(0, 16), field, message.subarray(16)]);
  out.writeUInt32LE(message.readUInt32LE(12) + field.length, 12);
  return out;
}
