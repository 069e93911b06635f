import { describeError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { DamagedFile } from '../../service/state/state-file.ts';

/** What is wrong with what was there before; one module that cannot be taken up is no reason to leave the others. */
export class RestoreErrors {
  readonly #log: Log;
  readonly #texts = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  get texts(): readonly string[] {
    return [...this.#texts.values()];
  }

  file({ path, message }: DamagedFile): void {
    this.#texts.set(path, message);
  }

  /** What is wrong with the disk, '' when nothing is. */
  disk(problem: string): void {
    if (problem === '') this.#texts.delete('disk');
    else this.#texts.set('disk', problem);
  }

  module(name: string, error: unknown): void {
    this.#log.error('module not taken up', { module: name, error: describeError(error) });
    this.#texts.set(name, `module ${JSON.stringify(name)}: ${describeError(error)}`);
  }
}
