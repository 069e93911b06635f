import { ownRequest, type Via } from '../../dbus/client/via.ts';
import { isServiceError } from '../../errors.ts';
import { EngineUnreachable } from './module-type.ts';
import type { StatusTracker } from './status.ts';

/** How an operation is to be carried out. */
export interface PendingOperationOptions {
  /**
   * `stopped`: done as soon as nothing runs. Of an update, `started`: done as soon as the new instance runs, `proven`:
   * when it has proved good, unless it is not to run. Otherwise when the desired state is reached.
   */
  readonly until?: 'stopped' | 'started' | 'proven' | undefined;
  readonly stopTimeoutS?: number | undefined;
  /** Whether it creates the module: then what its instance needs is pulled anew. */
  readonly isCreation: boolean;
  /** Correlates its records in the journals of all services. */
  readonly requestId: string;
  /** Whether no caller waits: then it is retried when an unreachable engine is back. */
  readonly isPatient: () => boolean;
  /** Whether a failure is undone, and not retried. */
  readonly isUndone: () => boolean;
}

/** The operation that a supervisor carries out. */
export class PendingOperation {
  readonly options: PendingOperationOptions;
  /** Resolves when the desired state is reached, rejects when it cannot be. */
  readonly done: Promise<void>;
  /** Whether the module was started for it. */
  hasStarted = false;
  /** Whether something was pulled for it. */
  hasPulled = false;
  #reach: () => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(options: PendingOperationOptions) {
    this.options = options;
    this.done = new Promise((resolve, reject) => {
      this.#reach = resolve;
      this.#fail = reject;
    });
    // the service may stop before a caller waits
    this.done.catch(() => {});
  }

  reach(): void {
    this.#reach();
  }

  fail(error: unknown): void {
    this.#fail(error);
  }
}

/** The pending operation of a module, if any. */
export class OperationSlot {
  readonly #status: StatusTracker;
  #current: PendingOperation | undefined;

  constructor(status: StatusTracker) {
    this.#status = status;
  }

  get current(): PendingOperation | undefined {
    return this.#current;
  }

  /** Starts an operation in place of the previous one, whose failure is cleared. */
  begin(options: PendingOperationOptions): PendingOperation {
    const operation = new PendingOperation(options);
    this.#current = operation;
    this.#status.note({ error: '', failed: false, retryAt: undefined });
    return operation;
  }

  /** Calls for an operation carry the request id of its caller. */
  via(signal: AbortSignal): Via {
    const requestId = this.#current?.options.requestId;
    return requestId === undefined ? ownRequest(signal) : { requestId, signal };
  }

  /** Completes the operation; the status is published together with its end. */
  reach(): void {
    const operation = this.#current;
    if (operation === undefined) return;
    this.#current = undefined;
    this.#status.hold();
    operation.reach();
  }

  /** Fails an operation, unless it has ended. */
  fail(operation: PendingOperation, error: unknown): void {
    if (this.#current !== operation) return;
    this.#current = undefined;
    // of an engine that was away nothing is left once it is back, but that an update has failed
    const isOver = error instanceof EngineUnreachable && !isUpdate(operation);
    const isUndone = operation.options.isUndone() && !isServiceError(error, 'Cancelled');
    this.#status.note({ failed: isUndone && !isOver });
    operation.fail(error);
  }
}

export function isUpdate({ options: { until } }: PendingOperation): boolean {
  return until === 'started' || until === 'proven';
}
