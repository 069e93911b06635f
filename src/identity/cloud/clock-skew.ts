const tolerableS = 5 * 60;
/** A Date header has a resolution of a second and a delay, so smaller differences are ignored. */
const minS = 5;

/** The difference between the clock of the cloud and the local one. */
export class ClockSkew {
  #seconds = 0;

  get seconds(): number {
    return this.#seconds;
  }

  /** Observes a time of the cloud, from a Date header; returns whether the difference changed. */
  observe(theirs: Date, ours: Date): boolean {
    const seconds = Math.round((theirs.getTime() - ours.getTime()) / 1000);
    if (Math.abs(seconds - this.#seconds) < minS) return false;
    this.#seconds = seconds;
    return true;
  }

  /** Describes a harmful difference, else ''. Tokens expire by the local clock, and the hub checks that by its own. */
  get problem(): string {
    const seconds = Math.abs(this.#seconds);
    if (seconds <= tolerableS) return '';
    const where = this.#seconds > 0 ? 'behind' : 'ahead of';
    return `this clock is ${seconds} s ${where} the cloud's: set it, or tokens are refused`;
  }
}
