import { HttpProblem } from './body.ts';

/** Lets a few things be done at once and a few more wait; whatever comes on top is refused with 503. */
export class Turns {
  readonly #most: number;
  readonly #mostWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(most: number, mostWaiting: number) {
    this.#most = most;
    this.#mostWaiting = mostWaiting;
  }

  /** Does it when it is its turn. */
  async take<T>(task: () => Promise<T>): Promise<T> {
    if (this.#busy < this.#most) this.#busy++;
    else await this.#wait();
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next(); // the turn goes on to it
    }
  }

  #wait(): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting) {
      throw new HttpProblem(503, 'too many requests at once');
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
