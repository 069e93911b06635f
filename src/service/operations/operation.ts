import type { Via } from '../../dbus/client/via.ts';
import { isServiceError } from '../../errors.ts';

/** What an operation is about. */
export interface OperationSubject<Args> {
  readonly verb: string;
  readonly id: string;
  readonly args: Args;
  /** Of the call that asked for it: what is done for it, in other services too, is found by this in the journal. */
  readonly requestId: string;
}

interface Settle<Result> {
  succeed(result: Result): void;
  fail(error: unknown): void;
}

/** An operation, from the first call that asks for it until its callers are answered. */
export class Operation<Args, Result> implements OperationSubject<Args>, Via {
  readonly verb: string;
  readonly id: string;
  readonly args: Args;
  readonly requestId: string;
  /** Whether no call has asked for it. */
  isOwn = false;
  /** That a call asks for it now, which the service had begun by itself. */
  persisted: Promise<unknown> = Promise.resolve();
  /** Settles with the end of the operation. */
  readonly outcome: Promise<Result>;
  /** Resolves when it is accepted, rejects when it was refused. */
  readonly accepted: Promise<void>;
  readonly #abort = new AbortController();
  #isAccepted = false;
  #isOver = false;
  #isAttended = true;
  /** Callers that wait and are still there. */
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
    // it may fail with no caller waiting
    this.outcome.catch(() => {});
    this.accepted.catch(() => {});
  }

  /** Whether its intent is persisted. */
  get isAccepted(): boolean {
    return this.#isAccepted;
  }

  /** Whether every caller waits for the end: nobody else needs to see a failure. */
  get isAttended(): boolean {
    return this.#isAttended;
  }

  /** Aborted when it is cancelled or the service stops; the reason is the error of its callers. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isCancelled(): boolean {
    return isServiceError(this.#abort.signal.reason, 'Cancelled');
  }

  /** Whether it is being cancelled, or carried out already. */
  get isEnding(): boolean {
    return this.#isOver || this.#abort.signal.aborted;
  }

  /** It is carried out, or undone: what is left is to forget it. */
  end(): void {
    this.#isOver = true;
  }

  /** Its intent is persisted. */
  accept(): void {
    this.#isAccepted = true;
    this.#accept();
  }

  /** Whether a caller is there who will be told how it ended. */
  get isAwaited(): boolean {
    return this.#isAttended && this.#waiting > 0;
  }

  /** One more caller, who waits for the end or does not. */
  join({ wait }: { readonly wait: boolean }): void {
    if (wait) this.#waiting++;
    else this.#isAttended = false;
  }

  /** A caller who waited has left the bus. */
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
