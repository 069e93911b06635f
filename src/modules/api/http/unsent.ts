/** Limits on the size and age of response data that clients have not read. */
export interface SendLimits {
  readonly ms: number;
  readonly bytes: number;
}

export const sendLimits: SendLimits = { ms: 30_000, bytes: 8 << 20 };

/** Responses of a module not yet read by its clients: they occupy memory that all modules share. */
export class Unsent {
  readonly #limits: SendLimits;
  readonly #waiting: (() => void)[] = [];
  #bytes = 0;

  constructor(limits: SendLimits = sendLimits) {
    this.#limits = limits;
  }

  /** Waits until another response fits. */
  async room(): Promise<void> {
    while (this.#bytes >= this.#limits.bytes) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends a response, and calls `abort` when that takes too long. */
  async take(bytes: number, send: () => Promise<void>, abort: () => void): Promise<void> {
    const timer = setTimeout(abort, this.#limits.ms);
    this.#bytes += bytes;
    try {
      await send();
    } finally {
      clearTimeout(timer);
      this.#bytes -= bytes;
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }
}
