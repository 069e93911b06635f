/** An event that a loop waits for, with a timeout. It stays set until it is cleared. */
export class WakeupEvent {
  #isSet = false;
  #wake: () => void = () => {};

  /** Signals that something changed. */
  set(): void {
    this.#isSet = true;
    this.#wake();
  }

  /** Drops an event that was set before. */
  clear(): void {
    this.#isSet = false;
  }

  /** Resolves at the next event, after `delayMs` unless that is undefined, or when the signal aborts. */
  async wait(delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.#isSet || signal.aborted) return;
    let timer: NodeJS.Timeout | undefined;
    let stop = (): void => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      stop = resolve;
      signal.addEventListener('abort', stop, { once: true });
      if (delayMs !== undefined) timer = setTimeout(resolve, Math.max(delayMs, 0));
    });
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
  }
}
