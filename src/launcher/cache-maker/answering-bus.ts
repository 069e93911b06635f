import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { writersOf } from '../../dbus/wire/codec.ts';
import { Inbox } from '../../dbus/wire/inbox.ts';
import { type MessageHeader, messageType } from '../../dbus/wire/message.ts';
import { Variant } from '../../dbus/wire/variant.ts';
import { WireWriter } from '../../dbus/wire/writer.ts';

/** A method that the bus calls. */
export interface Call {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

interface Outgoing {
  readonly type: number;
  readonly fields: readonly (readonly [number, Variant])[];
  readonly signature: string;
  readonly body: readonly unknown[];
}

type Answer = readonly [signature: string, ...body: readonly unknown[]];

const [service, caller] = [':1.1', ':1.2'];
/** D-Bus specification, Header Fields. */
const field = {
  path: 1,
  interface: 2,
  member: 3,
  error: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
} as const;
const littleEndian = 0x6c;
const begin = 'BEGIN\r\n';
const maxBodyBytes = 1 << 20;

const answers: Readonly<Record<string, Answer>> = {
  Hello: ['s', service],
  AddMatch: [''],
  RemoveMatch: [''],
  RequestName: ['u', 1],
  ReleaseName: ['u', 1],
  NameHasOwner: ['b', false],
  GetConnectionCredentials: [
    'a{sv}',
    {
      UnixUserID: new Variant('u', process.getuid?.() ?? 0),
      ProcessID: new Variant('u', process.pid),
    },
  ],
};

/**
 * A minimal message bus for a single service, without other clients. Once the service has requested its name
 * it is called by its own user, one call after the other.
 */
export class AnsweringBus implements AsyncDisposable {
  /** Resolves when the service has replied to every call, with a result or an error. */
  readonly served: Promise<void>;
  readonly #server: Server;
  readonly #calls: Call[];
  #settle: () => void = () => undefined;
  #socket: Socket | undefined;
  #serial = 0;

  private constructor(calls: readonly Call[]) {
    this.#calls = [...calls];
    this.served = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on a unix socket at this path. */
  static async listen(path: string, calls: readonly Call[]): Promise<AnsweringBus> {
    const bus = new AnsweringBus(calls);
    bus.#server.listen(path);
    await once(bus.#server, 'listening');
    return bus;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    const inbox = new Inbox(() => maxBodyBytes);
    let isAuthenticated = false;
    socket.on('data', (bytes) => {
      if (isAuthenticated) {
        this.#receive(inbox, bytes);
        return;
      }
      // the client waits for a reply to each of its lines but the last
      isAuthenticated = bytes.toString('latin1').startsWith(begin);
      if (isAuthenticated) this.#receive(inbox, bytes.subarray(begin.length));
      else socket.write(bytes.includes('AUTH') ? 'OK 0\r\n' : 'ERROR\r\n');
    });
  }

  #receive(inbox: Inbox, bytes: Buffer): void {
    inbox.add(bytes);
    for (let next = inbox.next(); next !== undefined; next = inbox.next()) {
      const { header, wantsReply } = next;
      if (header.type === messageType.call && wantsReply) this.#answer(header);
      const isReply = header.type === messageType.reply || header.type === messageType.error;
      if (header.member === 'RequestName' || (isReply && header.destination === caller))
        this.#call();
    }
  }

  /** The next call, after the last one the end. */
  #call(): void {
    const call = this.#calls.shift();
    if (call === undefined) {
      this.#settle();
      return;
    }
    const { path, interface: name, member, signature = '', body = [] } = call;
    const fields = [
      [field.path, new Variant('o', path)],
      [field.interface, new Variant('s', name)],
      [field.member, new Variant('s', member)],
      [field.sender, new Variant('s', caller)],
    ] as const;
    this.#send({ type: messageType.call, fields, signature, body });
  }

  #answer({ destination, member = '', serial }: MessageHeader): void {
    const isDriver = destination === 'org.freedesktop.DBus';
    const answer = isDriver ? answers[member] : undefined;
    const [signature, ...body] = answer ?? ['s', 'it is not on this bus'];
    const reply = [
      [field.replySerial, new Variant('u', serial)],
      [field.sender, new Variant('s', 'org.freedesktop.DBus')],
    ] as const;
    const error = `org.freedesktop.DBus.Error.${isDriver ? 'NameHasNoOwner' : 'ServiceUnknown'}`;
    const fields = answer ? reply : [...reply, [field.error, new Variant('s', error)] as const];
    const type = answer ? messageType.reply : messageType.error;
    this.#send({ type, fields, signature, body });
  }

  #send({ type, fields, signature, body }: Outgoing): void {
    const content = encoded(signature, body);
    const all = [
      ...fields,
      [field.destination, new Variant('s', service)],
      ...(signature === '' ? [] : [[field.signature, new Variant('g', signature)]]),
    ];
    const header = [littleEndian, type, 0, 1, content.length, ++this.#serial, all];
    this.#socket?.write(Buffer.concat([encoded('yyyyuua(yv)', header, 8), content]));
  }
}

function encoded(signature: string, values: readonly unknown[], alignment = 1): Buffer {
  const writer = new WireWriter();
  for (const [at, write] of writersOf(signature).entries()) write(writer, values[at]);
  writer.align(alignment);
  return writer.buffer.subarray(0, writer.position);
}
