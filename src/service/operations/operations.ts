/**
 * Long operations: those that wait for an engine, a cloud or a token and must survive the end of the process.
 *
 *   begin ─► persisted ─► accepted ─► run ─► removed ─► its calls return
 *                                      │ fails, or Cancel
 *                                      └─► undone ─► removed ─► its calls return
 *
 * There is one operation at a time for an id. A call for the same operation joins it; any other call is Unavailable.
 * Operations persisted by a previous process are resumed. A process that stops leaves the operations that no caller
 * waits for to the next process; the others are aborted, so that they are undone, or persisted as to be undone.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describeError, ServiceError } from '../../errors.ts';
import type { Log } from '../log/log.ts';
import { Operation } from './operation.ts';

/** One kind of long operation, and how its pending operations are persisted and removed. */
export interface OperationKind<Args, Result> {
  /** The method that callers request it by. */
  readonly verb: string;
  /** Persists the operation; only then is it accepted. Throws to refuse it. */
  readonly persist: (id: string, args: Args) => Promise<void>;
  /** Carries the operation out. Rejects after its effects are undone, or persisted as to be undone. */
  readonly run: (operation: Operation<Args, Result>) => Promise<Result>;
  /** Removes the persisted operation, which has ended. */
  readonly remove: (id: string, args: Args) => Promise<void>;
}

/** A caller's request for an operation. */
export interface Request<Args> {
  readonly id: string;
  /** Requests with equal arguments are for the same operation. */
  readonly args: Args;
  /** Whether the caller waits for the end. */
  readonly wait: boolean;
  readonly requestId: string;
  /** Whether the service itself requests it, again at each start: it is not persisted, and yields to calls. */
  readonly isOwn?: boolean;
}

/** Options of `Operations`. */
export interface OperationsOptions {
  /** The name of an id in messages: `module "web"`. */
  readonly nameOf: (id: string) => string;
  /** Called when an operation was accepted or has ended, before its calls return. */
  readonly onChange: (id: string) => void;
  readonly log: Log;
}

/** The long operations of a service. */
export class Operations {
  readonly #options: OperationsOptions;
  readonly #pending = new Map<string, Operation<unknown, unknown>>();
  #isStopping = false;

  constructor(options: OperationsOptions) {
    this.#options = options;
  }

  /** Whether an operation is unfinished. */
  get isBusy(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether an operation of an id is unfinished, accepted or not. */
  isPending(id: string): boolean {
    return this.#pending.has(id);
  }

  /** The operation in progress for an id, undefined when none is accepted. */
  current(id: string): Operation<unknown, unknown> | undefined {
    const operation = this.#pending.get(id);
    return operation?.isAccepted === true ? operation : undefined;
  }

  /** The verb of the operation in progress for an id, `` when there is none. */
  verb(id: string): string {
    return this.current(id)?.verb ?? '';
  }

  /** Begins an operation or joins the same one; resolves when it is accepted. Unavailable while another is in progress. */
  async begin<Args, Result>(
    kind: OperationKind<Args, Result>,
    request: Request<Args>,
  ): Promise<Operation<Args, Result>> {
    const { id, args } = request;
    if (this.#isStopping) throw stopping();
    const pending = this.#pending.get(id);
    if (pending !== undefined && isSame(pending, kind.verb, args)) {
      if (pending.isEnding) return this.#beginAfter(pending, kind, request);
      return this.#join(pending, kind, request);
    }
    if (pending?.isOwn === true && request.isOwn !== true) {
      // an operation of the service itself yields to calls
      pending.hasYielded = true;
      pending.abort(new ServiceError('Cancelled', `${pending.verb} gave way to ${kind.verb}`));
      return this.#beginAfter(pending, kind, request);
    }
    if (pending !== undefined) this.#refuse(pending, kind.verb);
    const operation = this.#add(kind, request);
    try {
      if (request.isOwn !== true) await kind.persist(id, args);
    } catch (error) {
      this.#pending.delete(id);
      operation.fail(error);
      throw error;
    }
    this.#accept(kind, operation);
    return operation;
  }

  /** Resumes an operation that a previous process has persisted. */
  resume<Args, Result>(kind: OperationKind<Args, Result>, id: string, args: Args): void {
    if (this.#pending.has(id)) return;
    const requestId = randomUUID();
    this.#options.log.info('operation resumed', { operation: kind.verb, id, requestId });
    this.#accept(kind, this.#add(kind, { id, args, wait: false, requestId }));
  }

  /** Cancels exactly this operation: its calls fail with Cancelled. NotFound when it is no longer in progress. */
  cancel(id: string, operation: Operation<unknown, unknown> | undefined): void {
    const name = this.#options.nameOf(id);
    if (operation === undefined || this.current(id) !== operation) {
      throw new ServiceError('NotFound', `no operation of ${name} is in progress`);
    }
    const text = `${operation.verb} of ${name} was cancelled`;
    operation.abort(new ServiceError('Cancelled', text));
  }

  /** Resolves when no operation of an id is in progress; aborts one that the service itself began. */
  async clear(id: string): Promise<void> {
    for (let pending = this.#pending.get(id); pending; pending = this.#pending.get(id)) {
      if (pending.isOwn) pending.abort(new ServiceError('Cancelled', 'the settings have changed'));
      await Promise.allSettled([pending.outcome]);
    }
  }

  /** Ends every operation when the process stops: waiting calls fail with Unavailable. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const pending = [...this.#pending.values()];
    for (const operation of pending) {
      operation.abort(stopping());
    }
    await Promise.allSettled(pending.map(({ outcome }) => outcome));
  }

  async #join<Args, Result>(
    pending: Operation<unknown, unknown>,
    kind: OperationKind<Args, Result>,
    request: Request<Args>,
  ): Promise<Operation<Args, Result>> {
    await pending.accepted;
    if (pending.isOwn && request.isOwn !== true) await this.#adopt(pending, kind, request);
    pending.join(request);
    return pending as Operation<Args, Result>; // of this kind: no other kind has this verb
  }

  /** Turns an operation of the service itself into one that a call requested. */
  async #adopt<Args, Result>(
    pending: Operation<unknown, unknown>,
    { persist }: OperationKind<Args, Result>,
    { id, args }: Request<Args>,
  ): Promise<void> {
    const persisted = persist(id, args);
    pending.persisted = Promise.allSettled([pending.persisted, persisted]);
    await persisted;
    pending.isOwn = false;
  }

  /** An operation that is ending cannot be joined: begins a new one after it. */
  async #beginAfter<Args, Result>(
    pending: Operation<unknown, unknown>,
    kind: OperationKind<Args, Result>,
    request: Request<Args>,
  ): Promise<Operation<Args, Result>> {
    await Promise.allSettled([pending.outcome]);
    return this.begin(kind, request);
  }

  #refuse({ id, verb }: Operation<unknown, unknown>, asked: string): never {
    const same = verb === asked ? ' with other arguments' : '';
    const text = `${verb} of ${this.#options.nameOf(id)}${same} is in progress`;
    throw new ServiceError('Unavailable', text);
  }

  #add<Args, Result>(
    { verb }: OperationKind<Args, Result>,
    { id, args, wait, requestId, isOwn = false }: Request<Args>,
  ): Operation<Args, Result> {
    const operation = new Operation<Args, Result>({ verb, id, args, requestId });
    operation.isOwn = isOwn;
    operation.join({ wait });
    this.#pending.set(id, operation);
    return operation;
  }

  #accept<Args, Result>(
    kind: OperationKind<Args, Result>,
    operation: Operation<Args, Result>,
  ): void {
    operation.accept();
    this.#options.onChange(operation.id);
    void this.#carryOut(kind, operation);
  }

  async #carryOut<Args, Result>(
    kind: OperationKind<Args, Result>,
    operation: Operation<Args, Result>,
  ): Promise<void> {
    try {
      const result = await kind.run(operation);
      await this.#end(kind, operation);
      operation.succeed(result);
    } catch (error) {
      const failure: unknown = operation.signal.aborted ? operation.signal.reason : error;
      await this.#end(kind, operation);
      if (!operation.isAwaited && !operation.signal.aborted) this.#report(operation, failure);
      operation.fail(failure);
    }
  }

  /** A process that stops leaves the persisted operation to the next one, unless a caller gets its failure. */
  async #end<Args, Result>(
    { remove }: OperationKind<Args, Result>,
    operation: Operation<Args, Result>,
  ): Promise<void> {
    const { log, onChange } = this.#options;
    const { id, args, verb } = operation;
    operation.end();
    // an operation that is written after its removal would be resumed
    await operation.persisted;
    const { isAwaited, isCancelled } = operation;
    if (!this.#isStopping || isCancelled || isAwaited) {
      try {
        await remove(id, args);
      } catch (error) {
        log.error('pending operation not removed', {
          operation: verb,
          id,
          error: describeError(error),
        });
      }
    }
    this.#pending.delete(id);
    onChange(id);
  }

  #report({ id, verb, requestId }: Operation<unknown, unknown>, error: unknown): void {
    const fields = { operation: verb, id, requestId, error: describeError(error) };
    this.#options.log.warn('operation failed', fields);
  }
}

function stopping(): ServiceError {
  return new ServiceError('Unavailable', 'the service is stopping');
}

function isSame(pending: Operation<unknown, unknown>, verb: string, args: unknown): boolean {
  return pending.verb === verb && isDeepStrictEqual(asPersisted(pending.args), asPersisted(args));
}

/** Arguments are equal when they are persisted as equal JSON, so that calls can join a resumed operation. */
function asPersisted(args: unknown): unknown {
  return JSON.parse(JSON.stringify(args));
}
