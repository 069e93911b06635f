import type { Goal } from './desired-state.ts';
import { type EngineStatus, refuseUnreachable } from './engine-monitor.ts';
import type { ModuleType } from './module-type.ts';
import type { Observed } from './plan.ts';
import type { RestartBackoff } from './restart/restart-backoff.ts';
import type { StatusTracker } from './status.ts';

/** Dependencies of an observer. */
export interface ObserverOptions {
  readonly name: string;
  readonly type: Pick<ModuleType, 'find' | 'findParked'>;
  readonly engineStatus: () => EngineStatus;
  readonly status: StatusTracker;
  readonly backoff: RestartBackoff;
  readonly goal: () => Goal;
  /** The id of the old instance during an update. */
  readonly oldId: () => string | undefined;
}

/** The cause of a failure, and when to retry. */
export type Cause =
  | { readonly cause: 'engine'; readonly at: 'again' | Date | undefined }
  | { readonly cause: 'module'; readonly at: Date | undefined };

/** Observes the instance of a module, for its status and its backoff. */
export class Observer {
  readonly #options: ObserverOptions;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** The instances as they are now; Unavailable while the engine is unreachable. */
  async observe(signal: AbortSignal): Promise<Observed> {
    const { name, type, engineStatus, status, backoff, goal, oldId } = this.#options;
    try {
      refuseUnreachable(engineStatus());
      const knownId = status.current.instance?.id;
      const id = oldId();
      const parked = id === undefined ? undefined : await type.findParked({ id, name }, signal);
      const instance = await type.find({ name, knownId, parkedId: parked && id }, signal);
      // the response may be that of another engine, which the monitor has not reported yet
      refuseUnreachable(engineStatus());
      status.end();
      status.note({ instance, known: true });
      backoff.observed(instance, goal(), engineStatus().reachedAt);
      return { instance, parked };
    } catch (error) {
      if (!signal.aborted) status.note({ known: false });
      throw error;
    }
  }

  /** Records a failure and finds its cause: the loss of the engine is not a failure of the module. */
  async afterFailure(signal: AbortSignal): Promise<Cause> {
    const { engineStatus, status, backoff } = this.#options;
    const { reachedAt } = engineStatus();
    // the monitor may not know yet
    if (status.current.known) await this.observe(signal).catch(() => undefined);
    if (signal.aborted) return { cause: 'engine', at: 'again' };
    const now = engineStatus();
    // the monitor wakes all supervisors when the engine is back
    if (now.error !== '') return { cause: 'engine', at: undefined };
    if (!status.current.known) return { cause: 'engine', at: backoff.unobserved() };
    const isNewEngine = reachedAt !== undefined && now.reachedAt !== reachedAt;
    if (isNewEngine) return { cause: 'engine', at: 'again' };
    return { cause: 'module', at: backoff.failed() };
  }
}
