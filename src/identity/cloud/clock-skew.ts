const tolerableS = 5 * 60;
/** A Date header has whole seconds and was on its way: a smaller difference is none. */
const leastS = 5;

/** By how much the clock of the cloud is ahead of this one. */
export class ClockSkew {
  #seconds = 0;

  get seconds(): number {
    return this.#seconds;
  }

  /** Takes a time of the cloud, from a Date header; false when the difference stays as it was. */
  observe(theirs: Date, ours: Date): boolean {
    const seconds = Math.round((theirs.getTime() - ours.getTime()) / 1000);
    if (Math.abs(seconds - this.#seconds) < leastS) return false;
    this.#seconds = seconds;
    return true;
  }

  /** '' when the difference does no harm. Tokens expire by this clock, and the hub judges that by its own. */
  get problem(): string {
    const seconds = Math.abs(this.#seconds);
    if (seconds <= tolerableS) return '';
    const where = this.#seconds > 0 ? 'behind' : 'ahead of';
    return `this clock is ${seconds} s ${where} the cloud's: set it, or tokens are refused`;
  }
}
