import type { ModuleType } from '../module-type.ts';

/** How many run at once: each holds a request to the engine. */
const most = 2;

/** Dependencies of the removals. */
export interface RemovalsOptions {
  /** Of the module. */
  readonly name: string;
  readonly type: Pick<ModuleType, 'findParked' | 'remove'>;
  /** Called when one has ended. Never throws. */
  readonly onEnd: () => void;
}

/** What comes before a removal. */
export type BeforeRemoval = (signal: AbortSignal) => Promise<void>;

/** A removal that has ended. */
export interface EndedRemoval {
  readonly id: string;
  /** Undefined when it succeeded. */
  readonly error: unknown;
}

/**
 * Removals of parked instances that run beside the loop of their module: an engine may take a minute to respond, and the
 * instance that stays is supervised meanwhile.
 */
export class Removals {
  readonly #options: RemovalsOptions;
  /** By the ids, those that have ended until they are taken. */
  readonly #pending = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #ended: EndedRemoval[] = [];

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /** Whether the removal of that instance is pending. */
  has(id: string): boolean {
    return this.#pending.has(id);
  }

  /** Whether no other one can begin. */
  get isFull(): boolean {
    return this.#pending.size >= most;
  }

  /** Begins to remove an instance, unless that is pending or too many are; `before` may still read it, and never rejects. */
  begin(id: string, before?: BeforeRemoval): void {
    if (!this.has(id) && !this.isFull) this.#pending.set(id, this.#run(id, before));
  }

  /** Those that have ended since the last call. */
  takeEnded(): readonly EndedRemoval[] {
    const ended = this.#ended;
    this.#ended = [];
    for (const { id } of ended) this.#pending.delete(id);
    return ended;
  }

  /** Aborts those that are pending; the engine may carry them out all the same. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#pending.values());
  }

  async #run(id: string, before: BeforeRemoval | undefined): Promise<void> {
    let error: unknown;
    try {
      await this.#remove(id, before);
    } catch (failure) {
      error = failure;
    }
    this.#ended.push({ id, error });
    this.#options.onEnd();
  }

  async #remove(id: string, before: BeforeRemoval | undefined): Promise<void> {
    const { name, type } = this.#options;
    const { signal } = this.#stop;
    await before?.(signal);
    // it may have the name of the module since it was observed
    if ((await type.findParked({ id, name }, signal)) !== undefined) await type.remove(id, signal);
  }
}
