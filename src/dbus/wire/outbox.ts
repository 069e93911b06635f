import type { Socket } from 'node:net';
import type { Message } from './message.ts';
import { writeMessage } from './message-writer.ts';
import { WireWriter } from './writer.ts';

const writerBytes = 16 << 10;
/** As much is written at a time, so that what the bus takes shows in pieces of this size. */
const writeBytes = 256 << 10;

/** How much may wait before the outbox is full, and for how long the bus may take none of it. */
export interface OutboxLimits {
  readonly queuedBytes: number;
  /** When a bus that takes nothing is reported. */
  readonly stallMs: number;
  /** When it counts as lost. */
  readonly giveUpMs: number;
}

/**
 * dbus-daemon stops reading from a service when 127 MiB of what the service said wait for clients that do not
 * read. Only a new connection gets it going again, so a bus that takes nothing counts as lost.
 */
export const defaultOutboxLimits: OutboxLimits = {
  queuedBytes: 8 << 20,
  stallMs: 4000,
  giveUpMs: 10_000,
};

/** What the owner of an outbox is notified of. */
export interface OutboxListener {
  /** Called after every write that leaves the outbox with room. */
  room(): void;
  /** The bus has taken nothing for `stallMs` (false), or takes what is sent again (true). */
  takes(again: boolean): void;
}

/**
 * What waits to be written to a bus: one write at a time, of what came together during a turn of the event loop or
 * the write before. Any message may hold a secret, so every byte is wiped where it waited, once the bus has it.
 */
export class Outbox implements Disposable {
  readonly #socket: Socket;
  readonly #limits: OutboxLimits;
  readonly #listener: OutboxListener;
  #writer = new WireWriter(writerBytes);
  #flushScheduled = false;
  /** What is being written, how far, and what to do when nothing is left. */
  #writing: Buffer | undefined;
  #written = 0;
  #onEmpty: (() => void) | undefined;
  /** When the bus last took something, or had nothing to take, by `performance.now()`. */
  #lastProgress = 0;
  #watch: NodeJS.Timeout | undefined;
  #isStalled = false;

  constructor(socket: Socket, limits: OutboxLimits, listener: OutboxListener) {
    this.#socket = socket;
    this.#limits = limits;
    this.#listener = listener;
  }

  /** Bytes that the bus has not taken yet. */
  get queuedBytes(): number {
    return (this.#writing?.length ?? 0) - this.#written + this.#writer.position;
  }

  get isFull(): boolean {
    return this.queuedBytes > this.#limits.queuedBytes;
  }

  /** Adds a message, even when full, and returns its size; TypeError or RangeError when its body does not fit. */
  add(message: Message): number {
    const size = writeMessage(this.#writer, message);
    if (!this.#flushScheduled && this.#writing === undefined) {
      this.#flushScheduled = true;
      process.nextTick(() => {
        this.#flushScheduled = false;
        this.#flush();
      });
    }
    return size;
  }

  /** Resolves when all is written, or cannot be. */
  finish(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#flush();
    });
  }

  /** Wipes what was not written; nothing is written any more. */
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
    const { stallMs, giveUpMs } = this.#limits;
    const idleMs = performance.now() - this.#lastProgress;
    if (idleMs >= giveUpMs) {
      this.#socket.destroy(new Error(`the bus has taken nothing for ${giveUpMs / 1000} s`));
    } else if (idleMs >= stallMs && !this.#isStalled) {
      this.#stalled(true);
    }
  }

  #stalled(isStalled: boolean): void {
    this.#isStalled = isStalled;
    this.#listener.takes(!isStalled);
  }
}
