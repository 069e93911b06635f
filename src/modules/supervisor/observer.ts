import type { Goal, SavedUpdate } from './desired-state.ts';
import { type EngineStatus, refuseUnreachable } from './engine-monitor.ts';
import type { ModuleType } from './module-type.ts';
import type { Observed } from './plan.ts';
import type { RestartBackoff } from './restart/restart-backoff.ts';
import type { StatusTracker } from './status.ts';
import { isCleanUpPhase } from './update/clean-up.ts';
import { type Former, findFormer, findLeftover } from './update/former.ts';

/** Dependencies of an observer. */
export interface ObserverOptions {
  readonly name: string;
  readonly type: Pick<ModuleType, 'find' | 'findParked'>;
  readonly engineStatus: () => EngineStatus;
  readonly status: StatusTracker;
  readonly backoff: RestartBackoff;
  readonly goal: () => Goal;
  /** The update of the module, if any. */
  readonly update: () => Pick<SavedUpdate, 'phase' | 'oldId' | 'badId'> | undefined;
  /** The ids of instances that earlier updates have left. */
  readonly formerIds: () => readonly string[];
}

/** The shortest time between two failures that are excused. */
const pauseMs = 1_000;

/** The cause of a failure, and when to retry. */
export type Cause =
  | { readonly cause: 'engine'; readonly at: 'again' | Date | undefined }
  /** Another client removed or replaced the instance meanwhile. */
  | { readonly cause: 'change'; readonly at: 'again' }
  | { readonly cause: 'module'; readonly at: Date | undefined };

/** Observes the instance of a module, for its status and its backoff. */
export class Observer {
  readonly #options: ObserverOptions;
  /** When a failure was excused last, by the monotonic clock. */
  #excusedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** The instances as they are now; Unavailable while the engine is unreachable. */
  async observe(signal: AbortSignal): Promise<Observed & { readonly former: Former }> {
    const { name, type, engineStatus, status, backoff, goal, update, formerIds } = this.#options;
    try {
      refuseUnreachable(engineStatus());
      const knownId = status.current.instance?.id;
      const updating = update();
      const { oldId, badId } = { ...updating };
      const isLeft = isCleanUpPhase(updating);
      const find = (id: string | undefined) => {
        if (id === undefined) return undefined;
        if (isLeft) return findLeftover(id, { type, name }, signal);
        return type.findParked({ id, name }, signal);
      };
      const [parked, bad] = await Promise.all([find(oldId), find(badId)]);
      const ids = formerIds().filter((one) => one !== oldId && one !== badId);
      const former = await findFormer(ids, { type, name }, signal);
      const parkedIds = [parked, bad].flatMap((one) => (one === undefined ? [] : [one.id]));
      parkedIds.push(...former.presentIds);
      const instance = await type.find({ name, knownId, parkedIds }, signal);
      // the response may be that of another engine, which the monitor has not reported yet
      refuseUnreachable(engineStatus());
      // one of others, which had its name, is gone
      const before = status.current.instance;
      if (before?.ours === false && before.id !== instance?.id) backoff.reset();
      status.end();
      status.note({ instance, known: true });
      backoff.observed(instance, goal(), engineStatus().reachedAt);
      return { instance, parked, bad, former };
    } catch (error) {
      if (!signal.aborted) status.note({ known: false });
      throw error;
    }
  }

  /** Records a failure and finds its cause: the loss of the engine is not a failure of the module. */
  async afterFailure(signal: AbortSignal): Promise<Cause> {
    const { engineStatus, status, backoff } = this.#options;
    const { reachedAt } = engineStatus();
    const before = status.current.instance;
    // the monitor may not know yet
    if (status.current.known) await this.observe(signal).catch(() => undefined);
    if (signal.aborted) return { cause: 'engine', at: 'again' };
    const now = engineStatus();
    // the monitor wakes all supervisors when the engine is back
    if (now.error !== '') return { cause: 'engine', at: undefined };
    if (!status.current.known) return { cause: 'engine', at: backoff.unobserved() };
    const isNewEngine = reachedAt !== undefined && now.reachedAt !== reachedAt;
    if (isNewEngine) return { cause: 'engine', at: 'again' };
    const isReplaced = before?.ours === true && before.id !== status.current.instance?.id;
    if (isReplaced && this.#excuses()) return { cause: 'change', at: 'again' };
    return { cause: 'module', at: backoff.failed() };
  }

  /** Whether a failure is excused: those of an instance that always vanishes must not follow each other directly. */
  #excuses(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#excusedMs < pauseMs) return false;
    this.#excusedMs = nowMs;
    return true;
  }
}
