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

  /** Removes one, and its id from the record; resolves to whether there was any. */
  async removeNext({ presentIds, goneIds }: Former, signal: AbortSignal): Promise<boolean> {
    // one that cannot be removed does not keep the others
    const id = presentIds[this.#attempts % presentIds.length];
    if (id === undefined && goneIds.length === 0) return false;
    try {
      if (goneIds.length === 0 && id !== undefined) await this.#remove(id, signal);
      const ids = goneIds.length > 0 ? goneIds : [id];
      await this.#desired.change((now) => withoutFormer(now, ids));
    } catch (error) {
      signal.throwIfAborted();
      this.#attempts++;
      this.#backoff.failed();
      throw error;
    }
    this.#backoff.reset();
    return true;
  }

  async #remove(id: string, signal: AbortSignal): Promise<void> {
    const { name, type } = this.#options;
    using limited = JoinedSignal.within(removedMs, signal);
    // it may have the name of the module since it was observed
    if ((await type.findParked({ id, name }, limited.signal)) === undefined) return;
    await type.remove(id, limited.signal);
  }
}
