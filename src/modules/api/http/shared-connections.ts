/** A socket whose connections count. */
export interface SharingSocket {
  /** How many connections it has. */
  readonly size: number;
  /** Closes one that waits, or that is idle; returns false when there is none. */
  shed(): boolean;
}

/** Half of LimitNOFILE= of the unit: the other half is for the bus, the engine, files and the sockets themselves. */
export const maxSharedConnections = 8192;

/** The limit on the connections of all sockets of the process together, each of which is a descriptor. */
export class SharedConnections {
  readonly #most: number;
  readonly #sockets = new Set<SharingSocket>();

  constructor(most: number = maxSharedConnections) {
    this.#most = most;
  }

  get size(): number {
    let size = 0;
    for (const socket of this.#sockets) size += socket.size;
    return size;
  }

  add(socket: SharingSocket): void {
    this.#sockets.add(socket);
  }

  delete(socket: SharingSocket): void {
    this.#sockets.delete(socket);
  }

  /**
   * Whether a socket may have one more connection. At the limit the socket with the most connections loses one for it, so
   * that no module can use up the connections of the others.
   */
  admit(newcomer: SharingSocket): boolean {
    if (this.size < this.#most) return true;
    let largest = newcomer;
    for (const socket of this.#sockets) if (socket.size > largest.size) largest = socket;
    return largest !== newcomer && largest.shed();
  }
}
