/** An operation with which the service is at a standstill is left to it after this time. */
const standstillMs = 5000;

/** Measures how long an operation has not proceeded. */
export class Standstill {
  #since: number | undefined;

  isTooLong(problem: string): boolean {
    if (problem === '') this.#since = undefined;
    else this.#since ??= performance.now();
    return this.#since !== undefined && performance.now() - this.#since >= standstillMs;
  }
}
