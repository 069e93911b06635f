/** How an operation wants its goal reached. */
export interface PendingOperationOptions {
  /** `stopped`: reached as soon as nothing runs. Otherwise when nothing is left to do. */
  readonly until?: 'stopped' | undefined;
  readonly stopTimeoutS?: number | undefined;
  /** Whether the module is being created: then the registry is asked. */
  readonly isCreation: boolean;
  /** What is done for it, in other services too, is found by this in the journal. */
  readonly requestId: string;
  /** Whether nobody waits: what the engine is away for is no failure then, it is done when the engine is back. */
  readonly isPatient: () => boolean;
  /** Whether a failure is undone, and not retried. */
  readonly isUndone: () => boolean;
}

/** The pending of a goal by a supervisor, for an operation. */
export class PendingOperation {
  readonly options: PendingOperationOptions;
  /** Settles when the goal is reached, or cannot be. */
  readonly done: Promise<void>;
  /** Whether the module was started for it. */
  hasStarted = false;
  #reach: () => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(options: PendingOperationOptions) {
    this.options = options;
    this.done = new Promise((resolve, reject) => {
      this.#reach = resolve;
      this.#fail = reject;
    });
    // the service may stop before anybody waits
    this.done.catch(() => {});
  }

  reach(): void {
    this.#reach();
  }

  fail(error: unknown): void {
    this.#fail(error);
  }
}
