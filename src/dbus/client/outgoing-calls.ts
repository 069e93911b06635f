/** dbus-daemon refuses the 129th unanswered call of a connection (max_replies_per_connection). */
const mostUnanswered = 100;
/** One destination that does not answer must not keep the others from being called. */
const mostUnansweredBy = 50;

interface OutgoingCall {
  readonly destination: string;
  readonly send: () => void;
}

/**
 * The calls that a connection makes: so many at once, the rest in order. For the bus a call is unanswered until its
 * reply comes or its destination leaves, for which the bus replies with an error, whether its caller still waits or not.
 */
export class OutgoingCalls {
  readonly #unanswered = new Map<number, OutgoingCall>();
  readonly #unansweredBy = new Map<string, number>();
  readonly #waiting = new Map<number, OutgoingCall>();

  /** Sends the call of a serial, now or when another one is answered. */
  start(serial: number, call: OutgoingCall): void {
    if (this.#hasRoom(call)) this.#send(serial, call);
    else this.#waiting.set(serial, call);
  }

  /** Gives up a call that was not sent yet; one that was counts until it is answered. */
  abandon(serial: number): void {
    this.#waiting.delete(serial);
  }

  /** A reply or an error has come. */
  answered(serial: number): void {
    const call = this.#unanswered.get(serial);
    if (call === undefined) return;
    this.#unanswered.delete(serial);
    const left = (this.#unansweredBy.get(call.destination) ?? 1) - 1;
    if (left > 0) this.#unansweredBy.set(call.destination, left);
    else this.#unansweredBy.delete(call.destination);
    for (const [next, waiting] of this.#waiting) {
      if (!this.#hasRoom(waiting)) continue;
      this.#waiting.delete(next);
      this.#send(next, waiting);
      return;
    }
  }

  #hasRoom({ destination }: OutgoingCall): boolean {
    const by = this.#unansweredBy.get(destination) ?? 0;
    return this.#unanswered.size < mostUnanswered && by < mostUnansweredBy;
  }

  #send(serial: number, call: OutgoingCall): void {
    this.#unanswered.set(serial, call);
    this.#unansweredBy.set(call.destination, (this.#unansweredBy.get(call.destination) ?? 0) + 1);
    call.send();
  }
}
