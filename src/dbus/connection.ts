import { createConnection, type Socket } from 'node:net';
import { fixedHeaderBytes, messageSize, readMessage, writeMessage } from './codec.ts';
import type { IncomingMessage, Message } from './message.ts';
import { WireWriter } from './writer.ts';

const largeWriteBytes = 64 << 10;
const maxAuthLineBytes = 16 << 10;

/** What the owner of a connection is told; neither may throw. */
export interface ConnectionListener {
  message(message: IncomingMessage): void;
  /** Called once, when nothing will come any more; without an error after `close`. */
  closed(error: Error | undefined): void;
}

/** The socket path of the first unix address of a list (D-Bus specification, Server Addresses). */
export function socketPath(addresses: string): string {
  for (const address of addresses.split(';')) {
    if (!address.startsWith('unix:')) continue;
    const options = new Map<string, string>();
    for (const option of address.slice('unix:'.length).split(',')) {
      const [key = '', value = ''] = option.split('=', 2);
      options.set(key, decodeURIComponent(value));
    }
    const path = options.get('path');
    if (path !== undefined) return path;
    const abstract = options.get('abstract');
    if (abstract !== undefined) return `\0${abstract}`;
  }
  throw new TypeError(
    `no unix:path= or unix:abstract= in the bus address ${JSON.stringify(addresses)}`,
  );
}

/** A connection to a message bus: authentication, framing, and one write per turn of the event loop. */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  #writer = new WireWriter(16 << 10);
  #flushScheduled = false;
  #authenticated = false;
  #closed = false;
  /** Chunks that do not make a whole message yet; joined once their message is complete. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #wantedBytes = fixedHeaderBytes;

  private constructor(socket: Socket, listener: ConnectionListener) {
    this.#socket = socket;
    this.#listener = listener;
  }

  /** Connects and authenticates as this process's uid (EXTERNAL). */
  static async open(
    addresses: string,
    listener: ConnectionListener,
    signal: AbortSignal,
  ): Promise<Connection> {
    const socket = createConnection(socketPath(addresses));
    const connection = new Connection(socket, listener);
    await authenticate(socket, signal);
    connection.#start();
    return connection;
  }

  /** Bytes written that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#writer.position;
  }

  /** Queues a message; TypeError or RangeError when its body does not fit its signature. */
  send(message: Message): void {
    if (this.#closed) return; // who waits for an answer has been told by `closed`
    writeMessage(this.#writer, message);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => this.#flush());
  }

  /** Writes what is queued and closes the connection; resolves when the peer has it all. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#flush();
    return new Promise((resolve) => {
      const giveUp = setTimeout(() => this.#socket.destroy(), 1000);
      this.#socket.once('close', () => {
        clearTimeout(giveUp);
        resolve();
      });
      this.#socket.end();
    });
  }

  #start(): void {
    let failure: Error | undefined;
    this.#authenticated = true;
    this.#socket.on('error', (error) => {
      failure = error;
    });
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#listener.closed(failure);
    });
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (error) {
        this.#socket.destroy(error instanceof Error ? error : new TypeError('bad message'));
      }
    });
    this.#flush();
  }

  #flush(): void {
    this.#flushScheduled = false;
    const { position, buffer } = this.#writer;
    if (position === 0 || this.#closed || !this.#authenticated) return;
    if (position > largeWriteBytes) {
      this.#writer = new WireWriter(16 << 10);
      this.#socket.write(buffer.subarray(0, position));
      return;
    }
    this.#writer.position = 0;
    this.#socket.write(Buffer.from(buffer.subarray(0, position)));
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#chunkBytes < this.#wantedBytes) return;
    const [first = chunk] = this.#chunks;
    const bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#chunkBytes);
    const rest = this.#dispatch(bytes);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#chunkBytes = rest.length;
  }

  /** Hands on every whole message and answers the bytes after the last one. */
  #dispatch(bytes: Buffer): Buffer {
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      this.#wantedBytes = fixedHeaderBytes;
      if (left < fixedHeaderBytes) return bytes.subarray(at);
      const size = messageSize(bytes.subarray(at, at + fixedHeaderBytes));
      this.#wantedBytes = size;
      if (left < size) return bytes.subarray(at);
      this.#hand(bytes.subarray(at, at + size));
      at += size;
    }
  }

  #hand(bytes: Buffer): void {
    let message: IncomingMessage;
    try {
      message = readMessage(bytes);
    } catch {
      return; // dropped, as sd-bus does: no sender may cost us the bus by what the bus forwards unread
    }
    this.#listener.message(message);
  }
}

/** The SASL exchange of the D-Bus specification, mechanism EXTERNAL; the server sends nothing unasked. */
function authenticate(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = '';
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => fail(new Error('the bus closed the connection'));
    const abort = (): void => fail(new Error('no answer in time', { cause: signal.reason }));
    const data = (chunk: Buffer): void => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n');
      if (end < 0) {
        if (received.length > maxAuthLineBytes) fail(new Error('the bus answered no line'));
        return;
      }
      if (!received.startsWith('OK ')) {
        fail(new Error(`the bus refused authentication: ${received.slice(0, end)}`));
        return;
      }
      signal.removeEventListener('abort', abort);
      socket.off('error', fail).off('close', closed).off('data', data);
      socket.write('BEGIN\r\n');
      resolve();
    };
    socket.on('error', fail).on('close', closed).on('data', data);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    socket.once('connect', () => {
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
      socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
  });
}
