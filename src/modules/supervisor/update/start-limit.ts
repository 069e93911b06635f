import type { Configured, DesiredState } from '../desired-state.ts';

/** The processes, one after the other, that wait for the whole time; the next ones do not wait. */
const mostProcesses = 2;

/**
 * How long the creation or the start of an update's new instance may fail for causes that pass by themselves, while the old
 * one is parked. Only the time counts that this process has seen; it begins with the first failure.
 */
export class StartLimit {
  readonly #limitMs: number;
  readonly #desired: Pick<DesiredState, 'force' | 'update'>;
  /** When it failed first, by the monotonic clock. */
  #sinceMs: number | undefined;

  constructor(limitMs: number, desired: Pick<DesiredState, 'force' | 'update'>) {
    this.#limitMs = limitMs;
    this.#desired = desired;
  }

  /** Records a failure at a time of the monotonic clock; resolves to whether the limit is exceeded. */
  async failed(nowMs: number): Promise<boolean> {
    if (this.#sinceMs === undefined) {
      const isOver = (this.#desired.update?.waits ?? 0) >= mostProcesses;
      this.#sinceMs = isOver ? Number.NEGATIVE_INFINITY : nowMs;
      if (!isOver) await this.#desired.force(waiting);
    }
    return nowMs - this.#sinceMs >= this.#limitMs;
  }

  /** Begins anew: the new instance runs, is not to run, or is another one. */
  async reset(): Promise<void> {
    this.#sinceMs = undefined;
    if (this.#desired.update?.waits !== undefined) await this.#desired.force(notWaiting);
  }
}

/** The state in which one more process waits. */
function waiting({ source, state }: Configured): Configured {
  const { update } = state;
  if (update?.phase !== 'trial') return { source, state };
  return { source, state: { ...state, update: { ...update, waits: (update.waits ?? 0) + 1 } } };
}

function notWaiting({ source, state }: Configured): Configured {
  const { update } = state;
  return { source, state: { ...state, update: update && { ...update, waits: undefined } } };
}
