import type { Socket } from 'node:net';
import { writeMessage } from './codec.ts';
import type { Message } from './message.ts';
import { WireWriter } from './writer.ts';

const writerBytes = 16 << 10;
const largeWriteBytes = 64 << 10;

/** How much may wait before the outbox is full, and for how long none of it may be taken. */
export interface OutboxLimits {
  readonly queuedBytes: number;
  readonly stallMs: number;
}

/**
 * dbus-daemon stops reading from a service when 127 MiB of what the service said wait for clients that do not
 * read. Only a new connection gets it going again, so a bus that takes nothing counts as lost.
 */
export const defaultOutboxLimits: OutboxLimits = { queuedBytes: 8 << 20, stallMs: 30_000 };

/**
 * What waits to be written to a bus: one write per turn of the event loop. Any message may hold a secret, so every
 * byte is wiped where it waited, once the bus has it.
 */
export class Outbox implements Disposable {
  readonly #socket: Socket;
  readonly #limits: OutboxLimits;
  readonly #onRoom: () => void;
  #writer = new WireWriter(writerBytes);
  #flushScheduled = false;
  /** Writes that the bus has not taken yet, and whether it took any since the timer was set. */
  #unwritten = 0;
  #progress = false;
  #stallTimer: NodeJS.Timeout | undefined;

  /** `onRoom` is told, after every write, that the outbox is not full. */
  constructor(socket: Socket, limits: OutboxLimits, onRoom: () => void) {
    this.#socket = socket;
    this.#limits = limits;
    this.#onRoom = onRoom;
  }

  /** Bytes that the bus has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#writer.position;
  }

  get isFull(): boolean {
    return this.queuedBytes > this.#limits.queuedBytes;
  }

  /** Adds a message, even when full; TypeError or RangeError when its body does not fit its signature. */
  add(message: Message): void {
    writeMessage(this.#writer, message);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => this.flush());
  }

  /** Writes now. */
  flush(): void {
    this.#flushScheduled = false;
    const { position, buffer } = this.#writer;
    if (position === 0 || this.#socket.destroyed) return;
    if (position > largeWriteBytes) {
      this.#writer = new WireWriter(writerBytes);
      this.#write(buffer.subarray(0, position));
      return;
    }
    const queued = buffer.subarray(0, position);
    const bytes = Buffer.from(queued);
    queued.fill(0);
    this.#writer.position = 0;
    this.#write(bytes);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#stallTimer);
  }

  #write(bytes: Buffer): void {
    this.#unwritten++;
    this.#stallTimer ??= setTimeout(() => this.#checkProgress(), this.#limits.stallMs).unref();
    this.#socket.write(bytes, () => this.#written(bytes));
  }

  #written(bytes: Buffer): void {
    bytes.fill(0);
    this.#unwritten--;
    this.#progress = true;
    if (!this.isFull) this.#onRoom();
  }

  #checkProgress(): void {
    if (this.#unwritten === 0) {
      this.#stallTimer = undefined;
      return;
    }
    if (!this.#progress) this.#socket.destroy(new Error('the bus takes nothing any more'));
    this.#progress = false;
    this.#stallTimer?.refresh();
  }
}
