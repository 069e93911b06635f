/** How an operation is to be carried out. */
export interface PendingOperationOptions {
  /** `stopped`: done as soon as nothing runs. Otherwise when the desired state is reached. */
  readonly until?: 'stopped' | undefined;
  readonly stopTimeoutS?: number | undefined;
  /** Whether it creates the module: then the registry is asked for its image. */
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
