import type { Via } from '../../dbus/client/via.ts';
import { isServiceError } from '../../errors.ts';

/** The subject of an operation. */
export interface OperationSubject<Args> {
  readonly verb: string;
  readonly id: string;
  readonly args: Args;
  /**
   * Of the call that requested it: the journal shows it with everything done for the operation, in other services too.
   */
  readonly requestId: string;
}

interface Settle<Result> {
  succeed(result: Result): void;
  fail(error: unknown): void;
}

/** An operation, from the first call that requests it until its calls return. */
export class Operation<Args, Result> implements OperationSubject<Args>, Via {
  readonly verb: string;
  readonly id: string;
  readonly args: Args;
  readonly requestId: string;
  /** Whether the service itself began it and no call has requested it. */
  isOwn = false;
  /** Whether it was aborted because it is the service's own, and a call requests another one. */
  hasYielded = false;
  /** Settles when every call that adopted the operation has persisted it, or failed to. */
  persisted: Promise<unknown> = Promise.resolve();
  /** Settles when the operation ends. */
  readonly outcome: Promise<Result>;
  /** Resolves when it is accepted, rejects when it is refused. */
  readonly accepted: Promise<void>;
  readonly #abort = new AbortController();
  #isAccepted = false;
  #isOver = false;
  #isAttended = true;
  /** Callers that wait and have not left the bus. */
  #waiting = 0;
  #accept: () => void = () => {};
  #settle: Settle<Result> = { succeed: () => {}, fail: () => {} };

  constructor({ verb, id, args, requestId }: OperationSubject<Args>) {
    this.verb = verb;
    this.id = id;
    this.args = args;
    this.requestId = requestId;
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { succeed: resolve, fail: reject };
    });
    const refused = this.outcome.then(() => undefined);
    const accepted = new Promise<void>((resolve) => {
      this.#accept = resolve;
    });
    this.accepted = Promise.race([accepted, refused]);
    // it may fail while no caller waits
    this.outcome.catch(() => {});
    this.accepted.catch(() => {});
  }

  /** Whether it is persisted. */
  get isAccepted(): boolean {
    return this.#isAccepted;
  }

  /** Whether every caller waits for the end, and so sees a failure. */
  get isAttended(): boolean {
    return this.#isAttended;
  }

  /** Aborted when it is cancelled or the service stops; the reason is the error that callers receive. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isCancelled(): boolean {
    return isServiceError(this.#abort.signal.reason, 'Cancelled');
  }

  /** Whether it is being cancelled, or has been carried out already. */
  get isEnding(): boolean {
    return this.#isOver || this.#abort.signal.aborted;
  }

  /** It has been carried out or undone; only its persisted record is left to be removed. */
  end(): void {
    this.#isOver = true;
  }

  /** It is persisted. */
  accept(): void {
    this.#isAccepted = true;
    this.#accept();
  }

  /** Whether a caller still waits for the outcome. */
  get isAwaited(): boolean {
    return this.#isAttended && this.#waiting > 0;
  }

  /** Adds a caller, which may wait for the end. */
  join({ wait }: { readonly wait: boolean }): void {
    if (wait) this.#waiting++;
    else this.#isAttended = false;
  }

  /** Removes a waiting caller that has left the bus. */
  leave(): void {
    this.#waiting--;
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  succeed(result: Result): void {
    this.#settle.succeed(result);
  }

  fail(error: unknown): void {
    this.#settle.fail(error);
  }
}
