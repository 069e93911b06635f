/** dbus-daemon refuses the 129th unanswered call of a connection (max_replies_per_connection). */
const mostAtOnce = 100;

/** Calls that a connection makes: so many at once, the rest in order. */
export class OutgoingCalls {
  /** Those that are unanswered and those that wait, each known by the function that sends it. */
  readonly #sent = new Set<() => void>();
  readonly #waiting = new Set<() => void>();

  /** Sends a call, now or when one before it is finished. */
  start(send: () => void): void {
    if (this.#sent.size >= mostAtOnce) {
      this.#waiting.add(send);
      return;
    }
    this.#sent.add(send);
    send();
  }

  /** A call was answered or given up; when it still waits it is never sent. */
  finish(send: () => void): void {
    this.#waiting.delete(send);
    if (!this.#sent.delete(send)) return;
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      this.start(next);
      return;
    }
  }
}
