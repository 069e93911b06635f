import { createConnection, type Socket } from 'node:net';
import { socketPath } from './address.ts';
import { authenticate } from './authenticate.ts';
import { Inbox } from './inbox.ts';
import type { IncomingMessage, Message } from './message.ts';
import { defaultOutboxLimits, Outbox, type OutboxLimits } from './outbox.ts';

const hangUpMs = 1000;

/** What the owner of a connection is told; neither may throw. */
export interface ConnectionListener {
  message(message: IncomingMessage): void;
  /** Called once, when nothing will come any more; without an error after `close`. */
  closed(error: Error | undefined): void;
}

/** A connection to a message bus: authentication and messages. With its outbox full it takes no more. */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #inbox = new Inbox();
  readonly #outbox: Outbox;
  #paused = false;
  #closing = false;
  #closed = false;

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
      this.#inbox.add(chunk);
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

  /** Hands on every message that has come, while the outbox has room. */
  #receive(): void {
    try {
      while (!this.#closing && !this.#paused) {
        if (this.#outbox.isFull) this.#pause();
        else {
          const message = this.#inbox.next();
          if (message === undefined) return;
          this.#listener.message(message);
        }
      }
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : new TypeError('bad message'));
    }
  }

  #pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
    this.#receive();
  }
}
