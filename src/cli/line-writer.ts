import type { Writable } from 'node:stream';
import { systemCode } from '../errors.ts';

/** Writes lines to a stream and remembers the first failure: a full disk or a reader that left shows only afterwards. */
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

  /** Why not everything was written, when all is done; undefined when it was, or when nobody reads any more. */
  async failure(): Promise<Error | undefined> {
    await Promise.all(this.#writes);
    return systemCode(this.#failure) === 'EPIPE' ? undefined : this.#failure;
  }
}
