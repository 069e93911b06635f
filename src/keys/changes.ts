import { setTimeout as pause } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import { KeyedMutex } from '../service/mutex.ts';

const pollMs = 10;

/** Creation and deletion of keys: changes of one id run in order, and all changes can be held. */
export class Changes {
  readonly #byId = new KeyedMutex<KeyId>();
  /** Resolves when changes are no longer held; undefined unless they are held. */
  #held: Promise<void> | undefined;

  /** How many ids are being changed. */
  get size(): number {
    return this.#byId.size;
  }

  /** Runs a change after the earlier ones of its id, then calls `done`, even when it failed. */
  async run(id: KeyId, change: () => Promise<void>, done: () => void): Promise<void> {
    while (this.#held !== undefined) await this.#held;
    await this.#byId.run(id, async () => {
      try {
        await change();
      } finally {
        done();
      }
    });
  }

  /** Holds new changes until the work has settled. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    let resume = (): void => undefined;
    this.#held = new Promise((resolve) => {
      resume = resolve;
    });
    try {
      return await work();
    } finally {
      this.#held = undefined;
      resume();
    }
  }
}

/** Waits until `isRunning` is false; Unavailable when that takes too long. */
export async function waitWhile(isRunning: () => boolean, end: number): Promise<void> {
  while (isRunning()) {
    if (performance.now() > end) {
      const text = 'keys are being created, deleted or listed: try again';
      throw new ServiceError('Unavailable', text);
    }
    await pause(pollMs);
  }
}
