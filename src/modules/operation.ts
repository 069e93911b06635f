import { ServiceError } from '../errors.ts';
import type { Goal } from './goal.ts';

/** A change that somebody asked for. */
export interface Request {
  /** Names it: the same one joins, another one is refused. */
  readonly verb: string;
  readonly goal: Goal;
  /** Whether the goal goes back to what it was when the change fails; otherwise it is tried again. */
  readonly revert: boolean;
  /** `stopped`: done as soon as nothing runs. Otherwise when nothing is left to do. */
  readonly until?: 'stopped';
  readonly stopTimeoutS?: number | undefined;
  /** Of the call that asked for it: what is done for it, in other services too, is found by this in the journal. */
  readonly requestId: string;
}

/** A change under way. */
export class Operation {
  readonly request: Request;
  readonly previous: Goal;
  /** Settles when the change has ended. */
  readonly done: Promise<void>;
  /** Whether its goal is written down: before that, nothing that happens is its doing. */
  accepted = false;
  readonly #abort = new AbortController();
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void };

  constructor(request: Request, previous: Goal) {
    this.request = request;
    this.previous = previous;
    let resolve: () => void = () => {};
    let reject: (error: unknown) => void = () => {};
    this.done = new Promise<void>((resolvePromise, rejectPromise) => {
      resolve = resolvePromise;
      reject = rejectPromise;
    });
    // A change may fail with nobody waiting for it.
    this.done.catch(() => {});
    this.#settle = { resolve, reject };
  }

  /** Why it was cancelled, undefined when it was not. */
  get cancelled(): ServiceError | undefined {
    const reason: unknown = this.#abort.signal.reason;
    return reason instanceof ServiceError ? reason : undefined;
  }

  /** Whether the goal goes back when this ends in failure. */
  get reverts(): boolean {
    return this.request.revert || this.cancelled !== undefined;
  }

  cancel(module: string): void {
    const text = `${this.request.verb} of module ${JSON.stringify(module)} was cancelled`;
    this.#abort.abort(new ServiceError('Cancelled', text));
  }

  succeed(): void {
    this.#settle.resolve();
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}
