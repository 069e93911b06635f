/** Callers that wait until a supervisor has nothing more to do at present. */
export class IdleWaiters {
  #waiting: (() => void)[] = [];
  #isOutcome = false;

  /** Resolves when the supervisor is idle next. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** As `wait`, for an operation: the status at that time is its outcome. */
  waitForOutcome(): Promise<void> {
    this.#isOutcome = true;
    return this.wait();
  }

  /** Resolves all waits; returns whether the status now is the outcome of an operation, which publishes it. */
  notify(): boolean {
    const isOutcome = this.#isOutcome;
    this.#isOutcome = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    return isOutcome;
  }
}
