import type { KeyId } from '../../ids.ts';

/** Records changes of keys while a token is being read: what was read of a changed key is stale. */
export class RecentChanges {
  readonly #changed = new Map<KeyId, number>();
  #revision = 0;
  #readings = 0;

  /** Begins a reading. The caller ends it with `end`. */
  begin(): number {
    this.#readings++;
    return this.#revision;
  }

  end(): void {
    this.#readings--;
    if (this.#readings === 0) this.#changed.clear();
  }

  /** Records a change; only readings in progress remember it. */
  record(id: KeyId): void {
    if (this.#readings > 0) this.#changed.set(id, ++this.#revision);
  }

  /** Whether a key has changed since a reading began. */
  has(id: KeyId, since: number): boolean {
    return (this.#changed.get(id) ?? 0) > since;
  }
}
