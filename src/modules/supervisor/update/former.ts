/** What earlier updates have left: parked instances that could not be removed before another update began. */
import { JoinedSignal } from '../../../service/joined-signal.ts';
import type { DesiredState } from '../desired-state.ts';
import type { Instance, ModuleType } from '../module-type.ts';
import { isLive, type Observed } from '../plan.ts';
import { CleanUp } from './clean-up.ts';
import { withoutFormer } from './update.ts';

/** How long a module waits for their description: an engine that cannot remove a container may not describe it either. */
const observedMs = 2_000;
/** How long it waits for the removal of one, which an engine completes all the same. */
const removedMs = 10_000;

const undescribed = {
  ours: true,
  digest: '',
  state: { kind: 'dead' },
  restartCount: 0,
  autoRestarts: false,
  unhealthy: false,
} as const;

/** Dependencies of the former instances. */
export interface FormerOptions {
  /** Of the module. */
  readonly name: string;
  readonly type: Pick<ModuleType, 'findParked' | 'remove'>;
}

/** The former instances of a module as they are observed. */
export interface Former {
  /** Those that are described. */
  readonly found: readonly Instance[];
  /** Of all that may be there. */
  readonly presentIds: readonly string[];
  /** Of those that are removed, or have the name of the module again. */
  readonly goneIds: readonly string[];
}

/** Observes the former instances of a module; one that the engine cannot describe is present. */
export async function findFormer(
  ids: readonly string[],
  { type, name }: Pick<FormerOptions, 'name'> & { readonly type: Pick<ModuleType, 'findParked'> },
  signal: AbortSignal,
): Promise<Former> {
  const found: Instance[] = [];
  const goneIds: string[] = [];
  using limited = JoinedSignal.within(observedMs, signal);
  const find = async (id: string): Promise<void> => {
    const instance = await type.findParked({ id, name }, limited.signal);
    if (instance === undefined) goneIds.push(id);
    else found.push(instance);
  };
  // the removal of one that cannot be described fails as well, and is reported
  await Promise.allSettled(ids.map(find));
  signal.throwIfAborted();
  return { found, presentIds: ids.filter((id) => !goneIds.includes(id)), goneIds };
}

/**
 * The parked instance that an update has left to be removed, undefined when it is gone. One that the engine cannot describe
 * in time counts as one that does not run: its removal fails as well, beside the module, and is reported.
 */
export async function findLeftover(
  id: string,
  { type, name }: Pick<FormerOptions, 'name'> & { readonly type: Pick<ModuleType, 'findParked'> },
  signal: AbortSignal,
  limitMs = observedMs,
): Promise<Instance | undefined> {
  using limited = JoinedSignal.within(limitMs, signal);
  try {
    return await type.findParked({ id, name }, limited.signal);
  } catch {
    signal.throwIfAborted();
    return { ...undescribed, id };
  }
}

/** An instance that may run beside that of the module: it is stopped before anything else. */
export function otherLive({
  parked,
  bad,
  former,
}: Pick<Observed, 'parked' | 'bad'> & { readonly former: Pick<Former, 'found'> }):
  | Instance
  | undefined {
  return [parked, bad, ...former.found].find((one) => one !== undefined && isLive(one));
}

/** Removes the former instances of a module, with a back-off of their own. */
export class FormerInstances {
  readonly #options: FormerOptions;
  readonly #desired: Pick<DesiredState, 'change'>;
  readonly #backoff: CleanUp;
  #attempts = 0;

  constructor(
    options: FormerOptions & { readonly now: () => Date },
    desired: Pick<DesiredState, 'change'>,
  ) {
    this.#options = options;
    this.#desired = desired;
    this.#backoff = new CleanUp(options.now);
  }

  /** When the next attempt is due, undefined when it is due now. */
  get retryAt(): Date | undefined {
    return this.#backoff.retryAt;
  }

  /** Makes the next attempt due now. */
  reset(): void {
    this.#backoff.reset();
  }

  /** The one whose removal is next, undefined when none is left. */
  nextOf({ presentIds }: Pick<Former, 'presentIds'>): string | undefined {
    // one that cannot be removed does not keep the others
    return presentIds[this.#attempts % presentIds.length];
  }

  /** Records that a removal failed. */
  failed(): void {
    this.#attempts++;
    this.#backoff.failed();
  }

  /** Removes those that are gone from the record; resolves to whether there were any. */
  async forget(goneIds: readonly string[]): Promise<boolean> {
    if (goneIds.length === 0) return false;
    try {
      await this.#desired.change((now) => withoutFormer(now, goneIds));
    } catch (error) {
      this.#backoff.failed();
      throw error;
    }
    this.#backoff.reset();
    return true;
  }

  /** Removes one of a module that is deleted; resolves to whether there was any. */
  async removeNext(former: Former, signal: AbortSignal): Promise<boolean> {
    if (await this.forget(former.goneIds)) return true;
    const id = this.nextOf(former);
    if (id === undefined) return false;
    try {
      await this.#remove(id, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.failed();
      throw error;
    }
    return this.forget([id]);
  }

  async #remove(id: string, signal: AbortSignal): Promise<void> {
    const { name, type } = this.#options;
    using limited = JoinedSignal.within(removedMs, signal);
    // it may have the name of the module since it was observed
    if ((await type.findParked({ id, name }, limited.signal)) === undefined) return;
    await type.remove(id, limited.signal);
  }
}
