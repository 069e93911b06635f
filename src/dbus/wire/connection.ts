import { createConnection, type Socket } from 'node:net';
import { socketPath } from './address.ts';
import { Authentication } from './authenticate.ts';
import { type AcceptBody, Inbox } from './inbox.ts';
import type { IncomingMessage, Message } from './message.ts';
import { defaultOutboxLimits, Outbox, type OutboxLimits } from './outbox.ts';

const hangUpMs = 1000;
/** Linux hands over at most about 200 KiB at a time. */
const receiveBufferBytes = 128 << 10;

/** What the owner of a connection is notified of; none of these may throw. */
export interface ConnectionListener {
  /** Judges a message by its header. */
  readonly accept: AcceptBody;
  /** The body of the message is valid until this returns, unless the message is detached. */
  message(message: IncomingMessage): void;
  /** The bus has taken nothing for a while (`false`), or takes what is sent again (`true`). */
  takes?(again: boolean): void;
  /** Called once, when nothing will come any more; without an error after `close`. */
  closed(error: Error | undefined): void;
}

/** How a connection is opened. */
export interface ConnectionOptions {
  readonly signal: AbortSignal;
  readonly limits?: OutboxLimits | undefined;
}

/**
 * A connection to a message bus: authentication and messages. With its outbox full it receives no more. Everything is
 * received into one buffer, which is wiped when what it holds is used up: any message may hold a secret.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #authentication: Authentication;
  #received: Buffer | undefined;
  #paused = false;
  #closing = false;
  #closed = false;

  private constructor(addresses: string, listener: ConnectionListener, options: ConnectionOptions) {
    const { signal, limits = defaultOutboxLimits } = options;
    const buffer = Buffer.alloc(receiveBufferBytes);
    const callback = (bytes: number): boolean => this.#data(buffer.subarray(0, bytes));
    const socket = createConnection({ path: socketPath(addresses), onread: { buffer, callback } });
    this.#socket = socket;
    this.#listener = listener;
    this.#inbox = new Inbox(listener.accept);
    this.#outbox = new Outbox(socket, limits, {
      room: () => this.#resume(),
      takes: (again) => listener.takes?.(again),
    });
    this.#authentication = new Authentication(socket, signal);
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#outbox[Symbol.dispose]();
      this.#inbox[Symbol.dispose]();
      this.#authentication.fail(failure ?? new Error('the bus closed the connection'));
      listener.closed(failure);
    });
  }

  /** Connects and authenticates as this process's uid (EXTERNAL). */
  static async open(
    addresses: string,
    listener: ConnectionListener,
    options: ConnectionOptions,
  ): Promise<Connection> {
    const connection = new Connection(addresses, listener, options);
    await connection.#authentication.done;
    return connection;
  }

  /** Bytes that the bus has not taken yet. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Queues a message and returns its size; TypeError or RangeError when its body does not fit its signature. */
  send(message: Message): number {
    if (this.#closed || this.#closing) return 0; // who waits for a reply is notified by `closed`
    return this.#outbox.add(message);
  }

  /** Writes what is queued and closes the connection; resolves when the peer has it all. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
    });
    await this.#outbox.finish();
    // what is written will be read, whether the bus hangs up or not
    this.#socket.end(() => setTimeout(() => this.#socket.destroy(), hangUpMs).unref());
    await closed;
  }

  /** Whether more may be received: the buffer is used again then. */
  #data(bytes: Buffer): boolean {
    if (this.#authentication.isOver) {
      this.#received = bytes;
      this.#inbox.add(bytes);
      this.#deliver();
    } else {
      this.#authentication.receive(bytes);
    }
    return !this.#paused;
  }

  /** Delivers every message that has come, while the outbox has room. */
  #deliver(): void {
    try {
      while (!this.#closing) {
        if (this.#outbox.isFull) {
          this.#pause();
          return;
        }
        const message = this.#inbox.next();
        if (message === undefined) break;
        this.#listener.message(message);
      }
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : new TypeError('bad message'));
    }
    this.#received?.fill(0);
    this.#received = undefined;
  }

  #pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deliver();
    // delivering may have filled the outbox again
    if (!this.#isPaused()) this.#socket.resume();
  }

  #isPaused(): boolean {
    return this.#paused;
  }
}
