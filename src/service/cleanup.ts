/** Steps that undo a start, run in reverse order before the process ends. */
export class Cleanup implements AsyncDisposable {
  readonly #steps: (() => void | Promise<void>)[] = [];
  #disposed = false;

  /** Takes over the disposal of a resource and returns it. */
  use<T extends Disposable | AsyncDisposable>(value: T): T {
    this.defer(async () => {
      if (Symbol.asyncDispose in value) await value[Symbol.asyncDispose]();
      else value[Symbol.dispose]();
    });
    return value;
  }

  /** Runs the function at the end, before all steps registered earlier. */
  defer(step: () => void | Promise<void>): void {
    if (this.#disposed) throw new TypeError('clean-up has already begun');
    this.#steps.push(step);
  }

  /** Runs every step even when some fail, then throws the failure, or all of them as an AggregateError. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1)
      throw new AggregateError(failures, 'several steps of the clean-up failed');
  }
}
