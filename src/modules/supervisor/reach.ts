const firstMs = 1_000;
const longestMs = 30_000;
const steadyMs = 60_000;

/**
 * How long to wait before an engine is tried again: 1 s, twice as long after each further time, 30 s at
 * most. Only one that stayed for a minute is steady, and its next loss is a first one again.
 */
export class Reach {
  #delayMs = firstMs;
  #isSteady = true;

  /** Whether the engine stayed when it was reached last; true of one that was never reached. */
  get isSteady(): boolean {
    return this.#isSteady;
  }

  /** Notes that the engine is lost, after it stayed for `heldMs`, or was not reached; answers when to try again. */
  lost(heldMs: number | undefined): number {
    if (heldMs !== undefined) this.#isSteady = heldMs >= steadyMs;
    if (heldMs !== undefined && this.#isSteady) this.#delayMs = firstMs;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, longestMs);
    return delayMs;
  }
}
