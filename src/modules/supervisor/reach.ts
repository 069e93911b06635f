const firstMs = 1_000;
const longestMs = 30_000;
const steadyMs = 60_000;

/**
 * Backoff of the connection to the engine: 1 s, doubled with each further loss, 30 s at most. It starts over
 * after a connection that lasted for a minute, which counts as steady.
 */
export class Reach {
  #delayMs = firstMs;
  #isSteady = true;

  /** Whether the last connection lasted; true before the first one. */
  get isSteady(): boolean {
    return this.#isSteady;
  }

  /** Records a loss after `heldMs`, or a failed connection; returns the delay until the next attempt. */
  lost(heldMs: number | undefined): number {
    if (heldMs !== undefined) this.#isSteady = heldMs >= steadyMs;
    if (heldMs !== undefined && this.#isSteady) this.#delayMs = firstMs;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, longestMs);
    return delayMs;
  }
}
