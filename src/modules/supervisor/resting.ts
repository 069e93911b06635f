/** Those who wait until nothing more can be done for a module at present. */
export class Resting {
  #waiting: (() => void)[] = [];
  #isOutcome = false;

  /** Resolves at the next rest. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** As `wait`, for an operation: what is true then is its outcome. */
  waitForOutcome(): Promise<void> {
    this.#isOutcome = true;
    return this.wait();
  }

  /** Notes a rest; returns whether it is the outcome of an operation, which publishes it. */
  reached(): boolean {
    const isOutcome = this.#isOutcome;
    this.#isOutcome = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    return isOutcome;
  }
}
