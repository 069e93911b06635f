/** Lets a few things be done at once; the others wait, in order. */
export class Turns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Does it when it is its turn. */
  async take<T>(task: () => Promise<T>): Promise<T> {
    await this.#begin();
    try {
      return await task();
    } finally {
      this.#end();
    }
  }

  /** Gives the turn of the caller to others for the time of a wait. */
  async pause<T>(wait: () => Promise<T>): Promise<T> {
    this.#end();
    try {
      return await wait();
    } finally {
      await this.#begin();
    }
  }

  async #begin(): Promise<void> {
    if (this.#busy < this.#most) this.#busy++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy--;
    else next(); // the turn goes on to it
  }
}
