import { createConnection, type Socket } from 'node:net';
import { Authentication } from './authenticate.ts';
import { writersOf } from './codec.ts';
import { type AcceptBody, Inbox, type IncomingMessage } from './inbox.ts';
import type { Message } from './message.ts';
import { WireWriter, writeMessage } from './writer.ts';

const hangUpMs = 1000;
/** Linux passes at most about 200 KiB at a time. */
const receiveBufferBytes = 128 << 10;
const writerBytes = 16 << 10;
/** The size of one write, and so the resolution at which progress of the bus is observed. */
const writeBytes = 256 << 10;

/** Notifications for the owner of a connection; none of these may throw. */
export interface ConnectionListener {
  /** Judges a message by its header. */
  readonly accept: AcceptBody;
  /** The body of the message is valid until this returns, unless the message is detached. */
  message(message: IncomingMessage): void;
  /** The bus has accepted nothing for a while (`false`), or accepts messages again (`true`). */
  stall?(isOver: boolean): void;
  /** The connection has ended; called once, without an error after `close`. */
  closed(error: Error | undefined): void;
}

/** Options of a connection. */
export interface ConnectionOptions {
  readonly signal: AbortSignal;
  readonly limits?: OutboxLimits | undefined;
}

/**
 * A connection to a message bus: authentication and messages. It receives nothing while its outbox is full. One buffer
 * receives everything and is wiped after use: any message may hold a secret.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  /** Defined until messages may be sent. */
  #authentication: Authentication | undefined;
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
      stall: (isOver) => listener.stall?.(isOver),
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
      this.#authentication?.fail(failure ?? new Error('the bus closed the connection'));
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
    await connection.#authentication?.done;
    return connection;
  }

  /** Bytes that the bus has not accepted yet. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Queues a message and returns its size; TypeError or RangeError when its body does not fit its signature. */
  send(message: Message): number {
    if (this.#closed || this.#closing) return 0; // `closed` rejects the calls that wait for a reply
    return this.#outbox.add(message);
  }

  /** Writes what is queued and closes the connection; resolves when all is written. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
    });
    await this.#outbox.finish();
    // the bus reads everything that is written, but it may not close its end
    this.#socket.end(() => setTimeout(() => this.#socket.destroy(), hangUpMs).unref());
    await closed;
  }

  /** Returns whether more may be received, which reuses the buffer. */
  #data(bytes: Buffer): boolean {
    if (this.#authentication === undefined) {
      this.#received = bytes;
      this.#inbox.add(bytes);
      this.#deliver();
    } else {
      this.#authentication.receive(bytes);
      if (this.#authentication.isOver) this.#authentication = undefined;
    }
    return !this.#paused;
  }

  /** Delivers the messages that have arrived while the outbox has room. */
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

/** How much may wait before the outbox is full, and for how long the bus may accept none of it. */
export interface OutboxLimits {
  readonly queuedBytes: number;
  /** When a bus that accepts nothing is reported. */
  readonly stallMs: number;
  /** When the connection counts as lost. */
  readonly lostMs: number;
}

/**
 * dbus-daemon stops reading from a service when 127 MiB of its messages wait for clients that do not read. Only a new
 * connection resolves that, so a bus that accepts nothing counts as lost.
 */
export const defaultOutboxLimits: OutboxLimits = {
  queuedBytes: 8 << 20,
  stallMs: 4000,
  lostMs: 10_000,
};

/** Notifications for the owner of an outbox. */
export interface OutboxListener {
  /** Called after every write that leaves the outbox with room. */
  room(): void;
  /** The bus has accepted nothing for `stallMs` (false), or accepts messages again (true). */
  stall(isOver: boolean): void;
}

/**
 * Buffers the messages to a bus: one write at a time, of all that were added during an iteration of the event loop or
 * the previous write. Any message may hold a secret, so every byte is wiped once it is written.
 */
export class Outbox implements Disposable {
  readonly #socket: Socket;
  readonly #limits: OutboxLimits;
  readonly #listener: OutboxListener;
  #writer = new WireWriter(writerBytes);
  #flushScheduled = false;
  /** The buffer that is being written, its progress, and the callback of `finish`. */
  #writing: Buffer | undefined;
  #written = 0;
  #onEmpty: (() => void) | undefined;
  /** When the bus last accepted bytes, or the outbox was empty, by `performance.now()`. */
  #lastProgress = 0;
  #watch: NodeJS.Timeout | undefined;
  #isStalled = false;

  constructor(socket: Socket, limits: OutboxLimits, listener: OutboxListener) {
    this.#socket = socket;
    this.#limits = limits;
    this.#listener = listener;
  }

  /** Bytes that the bus has not accepted yet. */
  get queuedBytes(): number {
    return (this.#writing?.length ?? 0) - this.#written + this.#writer.position;
  }

  get isFull(): boolean {
    return this.queuedBytes > this.#limits.queuedBytes;
  }

  /** Adds a message, even when full, and returns its size; TypeError or RangeError when its body does not fit. */
  add(message: Message): number {
    const size = writeMessage(this.#writer, message, writersOf(message.signature));
    if (!this.#flushScheduled && this.#writing === undefined) {
      this.#flushScheduled = true;
      process.nextTick(() => {
        this.#flushScheduled = false;
        this.#flush();
      });
    }
    return size;
  }

  /** Resolves when all is written, or the socket has failed. */
  finish(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#flush();
    });
  }

  /** Wipes what is not written, and ends writing. */
  [Symbol.dispose](): void {
    clearInterval(this.#watch);
    this.#writing?.fill(0);
    this.#writing = undefined;
    this.#written = 0;
    this.#writer.wipe();
    this.#onEmpty?.();
  }

  #flush(): void {
    if (this.#writing !== undefined) return;
    const { position, buffer } = this.#writer;
    if (position === 0 || this.#socket.destroyed) {
      this.#onEmpty?.();
      return;
    }
    if (position > writeBytes) {
      this.#writing = buffer.subarray(0, position);
      this.#writer = new WireWriter(writerBytes);
    } else {
      this.#writing = Buffer.from(buffer.subarray(0, position));
      this.#writer.wipe();
    }
    this.#write(this.#writing);
  }

  #write(bytes: Buffer): void {
    const piece = bytes.subarray(this.#written, this.#written + writeBytes);
    this.#lastProgress = performance.now();
    this.#watch ??= setInterval(() => this.#checkProgress(), this.#limits.stallMs / 8).unref();
    this.#socket.write(piece, () => this.#took(bytes, piece));
  }

  #took(bytes: Buffer, piece: Buffer): void {
    piece.fill(0);
    // a socket that is destroyed calls back without an error
    if (this.#socket.destroyed || this.#writing !== bytes) return;
    if (this.#isStalled) this.#stalled(false);
    this.#written += piece.length;
    if (this.#written < bytes.length) {
      this.#write(bytes);
    } else {
      this.#writing = undefined;
      this.#written = 0;
      this.#flush();
    }
    if (!this.isFull) this.#listener.room();
  }

  #checkProgress(): void {
    if (this.#writing === undefined) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    const { stallMs, lostMs } = this.#limits;
    const idleMs = performance.now() - this.#lastProgress;
    if (idleMs >= lostMs) {
      this.#socket.destroy(new Error(`the bus has accepted nothing for ${lostMs / 1000} s`));
    } else if (idleMs >= stallMs && !this.#isStalled) {
      this.#stalled(true);
    }
  }

  #stalled(isStalled: boolean): void {
    this.#isStalled = isStalled;
    this.#listener.stall(!isStalled);
  }
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
