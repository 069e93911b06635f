/** Callers that wait until a supervisor has nothing more to do at present. */
export class IdleWaiters {
  #waiting: (() => void)[] = [];
  #awaitOutcome: (() => void)[] = [];

  /** Resolves when the supervisor is idle next. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** As `wait`, for an operation, and when nothing runs beside the supervisor: the status at that time is its outcome. */
  waitForOutcome(): Promise<void> {
    return new Promise((resolve) => {
      this.#awaitOutcome.push(resolve);
    });
  }

  /**
   * Resolves the waits, those for an outcome only with `isOutcome`; returns whether the status now is the outcome of an
   * operation, which publishes it.
   */
  notify(isOutcome: boolean): boolean {
    const outcomes = isOutcome ? this.#awaitOutcome : [];
    const waiting = [...this.#waiting, ...outcomes];
    this.#waiting = [];
    if (isOutcome) this.#awaitOutcome = [];
    for (const resolve of waiting) resolve();
    return outcomes.length > 0;
  }
}
