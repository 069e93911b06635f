import type { Writable } from 'node:stream';
import { systemCode } from '../errors.ts';

/** Writes lines to a stream and records the first failure: a full disk or a closed pipe shows only afterwards. */
export class LineWriter {
  readonly #stream: Writable;
  readonly #writes: Promise<void>[] = [];
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  readonly print = (text: string): void => {
    this.#writes.push(
      new Promise((resolve) => {
        this.#stream.write(`${text}\n`, (error) => {
          if (error instanceof Error) this.#failure ??= error;
          resolve();
        });
      }),
    );
  };

  /** The failure after all writes have ended; undefined when there was none, or only a pipe closed by its reader. */
  async failure(): Promise<Error | undefined> {
    await Promise.all(this.#writes);
    return systemCode(this.#failure) === 'EPIPE' ? undefined : this.#failure;
  }
}
