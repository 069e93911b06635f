import { setTimeout as pause } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';

const pollMs = 10;

/** The making and removing of keys: what is asked of one id happens one after the other, and all of it can be held. */
export class Changes {
  readonly #byId = new Map<KeyId, Promise<unknown>>();
  /** While changes are held. */
  #held: Promise<void> | undefined;

  /** How many ids are being changed. */
  get size(): number {
    return this.#byId.size;
  }

  /** Makes a change in its turn, then calls `done`, however the change ended. */
  async make(id: KeyId, change: () => Promise<void>, done: () => void): Promise<void> {
    while (this.#held !== undefined) await this.#held;
    const before = this.#byId.get(id) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(change);
    this.#byId.set(id, turn);
    try {
      await turn;
    } finally {
      done();
      if (this.#byId.get(id) === turn) this.#byId.delete(id);
    }
  }

  /** Holds new changes until the work has ended. */
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

/** Waits for the end of something; Unavailable when that does not come in time. */
export async function endsBefore(end: number, isGoingOn: () => boolean): Promise<void> {
  while (isGoingOn()) {
    if (performance.now() > end) {
      const text = 'keys are being made, removed or looked for: try again';
      throw new ServiceError('Unavailable', text);
    }
    await pause(pollMs);
  }
}
