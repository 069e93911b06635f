import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Connection } from './connection.ts';
import { type ConnectionLimits, Connections } from './connections.ts';
import type { ExchangeServer } from './exchange.ts';

/** The connections of one socket by group: each group has the limits for itself. */
export class ConnectionGroups implements AsyncDisposable {
  readonly #server: ExchangeServer;
  readonly #read: (socket: Socket) => void;
  readonly #limits: ConnectionLimits;
  readonly #groups = new Map<string, Connections>();
  readonly #groupOf = new WeakMap<Duplex, Connections>();
  #isClosed = false;

  /** `read` starts parsing the data of a connection. */
  constructor(server: ExchangeServer, read: (socket: Socket) => void, limits: ConnectionLimits) {
    this.#server = server;
    this.#read = read;
    this.#limits = limits;
  }

  /** Accepts a connection that has not been read from. */
  accept(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const name = this.#server.groupOf?.(socket) ?? '';
    const group = this.#groups.get(name) ?? new Connections(this.#server, this.#read, this.#limits);
    this.#groups.set(name, group);
    this.#groupOf.set(socket, group);
    group.accept(socket);
    socket.once('close', () => {
      if (name !== '' && group.size === 0) this.#drop(name, group);
    });
  }

  /** The open connection of a socket. */
  of(socket: Duplex): Connection | undefined {
    return this.#groupOf.get(socket)?.of(socket);
  }

  /** Closes every connection; those with a request in progress get a grace period to finish. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#groups.values()].map((group) => group[Symbol.asyncDispose]()));
  }

  #drop(name: string, group: Connections): void {
    if (this.#isClosed || this.#groups.get(name) !== group) return;
    this.#groups.delete(name);
    void group[Symbol.asyncDispose]();
  }
}
