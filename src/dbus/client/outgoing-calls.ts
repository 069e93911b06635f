/** dbus-daemon refuses the 129th pending call of a connection (max_replies_per_connection). */
const maxPending = 100;
/** One destination that does not reply must not block calls to the others. */
const maxPendingBy = 50;

interface OutgoingCall {
  readonly destination: string;
  readonly send: () => void;
}

/**
 * Limits the pending calls of a connection and queues the rest in order. For the bus a call is pending until its reply
 * arrives or its destination leaves, in which case the bus replies with an error, even when the caller has stopped
 * waiting.
 */
export class OutgoingCalls {
  readonly #pending = new Map<number, OutgoingCall>();
  readonly #pendingBy = new Map<string, number>();
  readonly #waiting = new Map<number, OutgoingCall>();

  /** Sends a call now, or queues it until another one is replied to. */
  start(serial: number, call: OutgoingCall): void {
    if (this.#hasRoom(call)) this.#send(serial, call);
    else this.#waiting.set(serial, call);
  }

  /** Drops a call that is still queued; one that was sent stays pending until its reply arrives. */
  abandon(serial: number): void {
    this.#waiting.delete(serial);
  }

  /** Records that the reply of a call, or an error, arrived. */
  replied(serial: number): void {
    const call = this.#pending.get(serial);
    if (call === undefined) return;
    this.#pending.delete(serial);
    const left = (this.#pendingBy.get(call.destination) ?? 1) - 1;
    if (left > 0) this.#pendingBy.set(call.destination, left);
    else this.#pendingBy.delete(call.destination);
    for (const [next, waiting] of this.#waiting) {
      if (!this.#hasRoom(waiting)) continue;
      this.#waiting.delete(next);
      this.#send(next, waiting);
      return;
    }
  }

  #hasRoom({ destination }: OutgoingCall): boolean {
    const by = this.#pendingBy.get(destination) ?? 0;
    return this.#pending.size < maxPending && by < maxPendingBy;
  }

  #send(serial: number, call: OutgoingCall): void {
    this.#pending.set(serial, call);
    this.#pendingBy.set(call.destination, (this.#pendingBy.get(call.destination) ?? 0) + 1);
    call.send();
  }
}
