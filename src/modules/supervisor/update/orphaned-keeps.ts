import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../../errors.ts';
import { Backoff } from '../../../service/backoff.ts';
import type { Log } from '../../../service/log/log.ts';
import type { ModuleType } from '../module-type.ts';

/** Dependencies of `OrphanedKeeps`. */
export interface OrphanedKeepsOptions {
  readonly type: Pick<ModuleType, 'keptNames' | 'release'>;
  /** Whether a module of this name exists, which releases what is kept for it itself. */
  readonly isKnown: (name: string) => boolean;
  /** Of modules, those that could not be restored among them. */
  readonly records: {
    readonly failure: Error | undefined;
    readonly damaged: ReadonlyMap<string, Error>;
    readonly ids: () => readonly string[];
  };
  readonly now: () => Date;
  /** Resolves after a delay, or when the signal aborts, for tests. */
  readonly pause?: (delayMs: number, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * Releases what was kept for updates of modules that were deleted since: a deletion does not wait for an engine that is
 * slow to remove a tag.
 */
export class OrphanedKeeps {
  readonly #options: OrphanedKeepsOptions;
  readonly #backoff = new Backoff({ minMs: 0, firstMs: 10_000, maxMs: 300_000 }, () => 1);
  #wanted = 0;
  #isRunning = false;

  constructor(options: OrphanedKeepsOptions) {
    this.#options = options;
  }

  /** Releases them, again after a failure, until the signal aborts. Calls during that are followed by another look. Never rejects. */
  async release(signal: AbortSignal): Promise<void> {
    this.#wanted++;
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#wanted > 0 && !signal.aborted) {
      this.#wanted = 0;
      if (await this.#releaseAll(signal)) continue;
      this.#wanted++;
      const delayMs = this.#backoff.failed(this.#options.now());
      await (this.#options.pause ?? pause)(delayMs, signal);
    }
    this.#isRunning = false;
  }

  /** Resolves to whether nothing is left; one that fails does not keep the others. */
  async #releaseAll(signal: AbortSignal): Promise<boolean> {
    const { log, type } = this.#options;
    let isDone = true;
    try {
      for (const name of await type.keptNames(signal)) {
        if (!this.#mayExist(name)) isDone = (await this.#releaseOne(name, signal)) && isDone;
      }
    } catch (error) {
      // when an engine is back that was lost, they are looked for again
      log.debug('kept images not listed', { error: describeError(error) });
    }
    if (isDone) this.#backoff.reset();
    return isDone;
  }

  /** The next process may read a record that this one could not. */
  #mayExist(name: string): boolean {
    const { isKnown, records } = this.#options;
    const isUnreadable = records.failure !== undefined || records.damaged.size > 0;
    return isUnreadable || isKnown(name) || records.ids().includes(name);
  }

  async #releaseOne(name: string, signal: AbortSignal): Promise<boolean> {
    const { log, type } = this.#options;
    try {
      await type.release(name, signal);
      log.info('image of a deleted module not kept any more', { module: name });
      return true;
    } catch (error) {
      const fields = { module: name, error: describeError(error) };
      if (!signal.aborted) log.warn('image of a deleted module still kept', fields);
      return false;
    }
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
}
