import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, lateHead, type QueueSize } from './connection.ts';
import type { ExchangeServer } from './exchange.ts';
import type { SharedConnections, SharingSocket } from './shared-connections.ts';

/** Limits on the number and the times of connections of a socket. */
export interface ConnectionLimits {
  /** Connections that are read. */
  readonly most: number;
  /** Connections that wait to be read; further ones are closed. */
  readonly maxWaiting: number;
  readonly headMs: number;
  readonly idleMs: number;
  readonly checkMs: number;
  /** The limit on all sockets together. */
  readonly shared: SharedConnections;
}

export const connectionLimits: Omit<ConnectionLimits, 'shared'> = {
  most: 128,
  maxWaiting: 1920,
  headMs: 10_000,
  idleMs: 180_000,
  checkMs: 2_000,
};

/** Minimum idle time before a connection is closed for a waiting one: its next request may be in transit. */
const settledMs = { used: 250, unused: 1_000 };
const roomCheckMs = 100;
/** Grace period for requests in progress when the socket is closed. */
const graceMs = 2_000;

/** The connections of one socket. When too many are open, further ones wait until the longest idle one is closed. */
export class Connections implements AsyncDisposable, SharingSocket {
  readonly #limits: ConnectionLimits;
  readonly #server: ExchangeServer;
  readonly #read: (socket: Socket) => void;
  readonly #open = new Map<Duplex, Connection>();
  readonly #waiting = new Set<Socket>();
  readonly #queued: QueueSize = { requests: 0 };
  #check: NodeJS.Timeout | undefined;
  #roomCheck: NodeJS.Timeout | undefined;
  #checksRoom = false;
  #closing: (() => void) | undefined;

  /** `read` starts parsing the data of a connection. */
  constructor(server: ExchangeServer, read: (socket: Socket) => void, limits: ConnectionLimits) {
    this.#server = server;
    this.#read = read;
    this.#limits = limits;
    limits.shared.add(this);
  }

  get size(): number {
    return this.#open.size + this.#waiting.size;
  }

  /** Accepts a connection that has not been read from. */
  accept(socket: Socket): void {
    const { most, maxWaiting, shared } = this.#limits;
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => this.#drop(socket));
    if (this.#closing !== undefined || !shared.admit(this)) socket.destroy();
    else if (this.#open.size < most) this.#begin(socket);
    else if (this.#waiting.size >= maxWaiting) socket.destroy();
    else {
      this.#waiting.add(socket);
      this.#makeRoom();
    }
  }

  shed(): boolean {
    const [waiting] = this.#waiting;
    if (waiting === undefined) return this.#closeLongestIdle();
    this.#waiting.delete(waiting);
    waiting.destroy();
    return true;
  }

  /** The open connection of a socket. */
  of(socket: Duplex): Connection | undefined {
    return this.#open.get(socket);
  }

  /** Closes every connection; those with a request in progress get a grace period to finish. */
  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#waiting, ...this.#open.keys()];
    this.#waiting.clear();
    const allIdle = new Promise<void>((resolve) => {
      this.#closing = resolve;
    });
    this.#server.close();
    this.#closeIdle();
    const over = new AbortController();
    const late = sleep(graceMs, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([allIdle, late]);
    over.abort();
    clearInterval(this.#check);
    clearTimeout(this.#roomCheck);
    for (const socket of all) socket.destroy();
    this.#limits.shared.delete(this);
  }

  #begin(socket: Socket): void {
    const connection = new Connection(socket, {
      server: this.#server,
      total: this.#queued,
      onIdle: () => (this.#closing === undefined ? this.#makeRoom() : this.#closeIdle()),
    });
    this.#open.set(socket, connection);
    this.#check ??= setInterval(
      () => setImmediate(() => this.#closeLate()),
      this.#limits.checkMs,
    ).unref();
    this.#read(socket);
  }

  #drop(socket: Socket): void {
    this.#waiting.delete(socket);
    this.#open.delete(socket);
    if (this.#open.size === 0) {
      clearInterval(this.#check);
      this.#check = undefined;
    }
    if (this.#closing === undefined) this.#makeRoom();
    else this.#closeIdle();
  }

  #closeIdle(): void {
    for (const { idleMs, socket } of this.#open.values()) {
      if (idleMs === undefined) continue;
      this.#open.delete(socket);
      socket.destroy();
    }
    if (this.#open.size === 0) this.#closing?.();
  }

  #makeRoom(): void {
    this.#readWaiting(() => false);
    if (this.#waiting.size > 0) this.#checkRoom();
  }

  /** Starts reading from waiting connections while there is room or some can be freed. */
  #readWaiting(make: () => boolean): void {
    for (const socket of this.#waiting) {
      if (this.#open.size >= this.#limits.most && !make()) return;
      this.#waiting.delete(socket);
      this.#begin(socket);
    }
  }

  /** Closes idle connections, after pending data is read: while the event loop is blocked, active ones seem idle. */
  #checkRoom(): void {
    if (this.#checksRoom) return;
    this.#checksRoom = true;
    setImmediate(() => {
      this.#readWaiting(() => this.#closeLongestIdle());
      this.#roomCheck = setTimeout(() => {
        this.#checksRoom = false;
        if (this.#waiting.size > 0) this.#checkRoom();
      }, roomCheckMs).unref();
    });
  }

  #closeLongestIdle(): boolean {
    let longest: Connection | undefined;
    for (const connection of this.#open.values()) {
      const { idleMs = 0, isUsed } = connection;
      if (idleMs < (isUsed ? settledMs.used : settledMs.unused)) continue;
      if (idleMs > (longest?.idleMs ?? 0)) longest = connection;
    }
    if (longest === undefined) return false;
    this.#open.delete(longest.socket);
    longest.socket.destroy();
    return true;
  }

  #closeLate(): void {
    const { headMs, idleMs } = this.#limits;
    for (const connection of this.#open.values()) {
      if (connection.headMs >= headMs) connection.refuse(lateHead());
      else if ((connection.idleMs ?? 0) >= idleMs) connection.socket.destroy();
    }
  }
}
