import { describeError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { DamagedFile } from '../../service/state/state-file.ts';

/** Problems with the state of the previous process. A module that cannot be restored does not hinder the others. */
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

  /** Sets the problem of the disk, '' for none. */
  disk(problem: string): void {
    if (problem === '') this.#texts.delete('disk');
    else this.#texts.set('disk', problem);
  }

  /** Sets the problem of the modules' network, '' for none; returns whether it is another one. */
  network(problem: string): boolean {
    if (problem === (this.#texts.get('network') ?? '')) return false;
    if (problem === '') this.#texts.delete('network');
    else this.#texts.set('network', problem);
    return true;
  }

  module(name: string, error: unknown): void {
    this.#log.error('module not restored', { module: name, error: describeError(error) });
    this.#texts.set(name, `module ${JSON.stringify(name)}: ${describeError(error)}`);
  }
}
