/** Lets a loop wait for a time or for news, whichever is first. News that come while nobody waits are kept. */
export class WakeUp {
  #isNews = false;
  #wake: () => void = () => {};

  /** There are news. */
  call(): void {
    this.#isNews = true;
    this.#wake();
  }

  /** From here on, only what comes now is news. */
  clear(): void {
    this.#isNews = false;
  }

  /** Resolves after `delayMs`, which may be for ever, at the next news or when the signal says stop. */
  async wait(delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (this.#isNews || signal.aborted) return;
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
