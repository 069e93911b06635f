import type { EngineEvent } from './event.ts';

/** The containers that a client of the engine has sent a signal since their start: they may end for that reason. */
export class KillRequests {
  readonly #ids = new Set<string>();

  note({ id, isRemoval, request }: EngineEvent): void {
    if (request === 'end') this.#ids.add(id);
    else if (isRemoval || request === 'start') this.#ids.delete(id);
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
