import { createConnection, type Socket } from 'node:net';
import { socketPath } from './address.ts';
import { authenticate } from './authenticate.ts';
import { fixedHeaderBytes, messageSize, readMessage } from './codec.ts';
import type { IncomingMessage, Message } from './message.ts';
import { defaultOutboxLimits, Outbox, type OutboxLimits } from './outbox.ts';

const hangUpMs = 1000;

/** What the owner of a connection is told; neither may throw. */
export interface ConnectionListener {
  message(message: IncomingMessage): void;
  /** Called once, when nothing will come any more; without an error after `close`. */
  closed(error: Error | undefined): void;
}

/** A connection to a message bus: authentication and framing. With its outbox full it reads no more. */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #outbox: Outbox;
  #paused = false;
  #closing = false;
  #closed = false;
  /** Chunks that do not make a whole message yet; joined once their message is complete. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #wantedBytes = fixedHeaderBytes;

  private constructor(socket: Socket, listener: ConnectionListener, limits: OutboxLimits) {
    this.#socket = socket;
    this.#listener = listener;
    this.#outbox = new Outbox(socket, limits, () => this.#resume());
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#outbox[Symbol.dispose]();
      listener.closed(failure);
    });
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#chunkBytes += chunk.length;
      this.#receive();
    });
  }

  /** Connects and authenticates as this process's uid (EXTERNAL). */
  static async open(
    addresses: string,
    listener: ConnectionListener,
    { signal, limits = defaultOutboxLimits }: { signal: AbortSignal; limits?: OutboxLimits },
  ): Promise<Connection> {
    const socket = createConnection(socketPath(addresses));
    await authenticate(socket, signal);
    return new Connection(socket, listener, limits);
  }

  /** Bytes that the bus has not taken yet. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Queues a message; TypeError or RangeError when its body does not fit its signature. */
  send(message: Message): void {
    if (this.#closed || this.#closing) return; // who waits for an answer is told by `closed`
    this.#outbox.add(message);
  }

  /** Writes what is queued and closes the connection; resolves when the peer has it all. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#outbox.flush();
    this.#closing = true;
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      // what is written will be read, whether the bus hangs up or not
      this.#socket.end(() => setTimeout(() => this.#socket.destroy(), hangUpMs).unref());
    });
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
    this.#receive();
  }

  #receive(): void {
    if (this.#closing || this.#paused || this.#chunkBytes < this.#wantedBytes) return;
    const [first = Buffer.alloc(0)] = this.#chunks;
    const bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#chunkBytes);
    try {
      const rest = this.#dispatch(bytes);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#chunkBytes = rest.length;
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : new TypeError('bad message'));
    }
  }

  /** Hands on every whole message while the outbox has room, and answers the bytes after the last one. */
  #dispatch(bytes: Buffer): Buffer {
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      this.#wantedBytes = fixedHeaderBytes;
      if (left < fixedHeaderBytes) return bytes.subarray(at);
      const size = messageSize(bytes.subarray(at, at + fixedHeaderBytes));
      this.#wantedBytes = size;
      if (left < size) return bytes.subarray(at);
      if (this.#outbox.isFull) {
        this.#paused = true;
        this.#socket.pause();
        return bytes.subarray(at);
      }
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
