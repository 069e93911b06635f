import { Backoff } from '../../../service/backoff.ts';
import { needsInstance, type SavedState, type SavedUpdate } from '../desired-state.ts';
import type { Step } from '../plan.ts';

/**
 * The removal of what is left of an update, with a back-off of its own: the module is supervised beside it, however long
 * an engine refuses to remove a container.
 */
export class CleanUp {
  readonly #now: () => Date;
  readonly #backoff = new Backoff({ minMs: 0, firstMs: 10_000, maxMs: 300_000 }, () => 1);

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** When it is due again, undefined when it is due now. */
  get retryAt(): Date | undefined {
    return this.#backoff.retryAt(this.#now());
  }

  /** Records that it failed. */
  failed(): void {
    this.#backoff.failed(this.#now());
  }

  /** Makes it due now: it ended, or the cause of the failure may have changed. */
  reset(): void {
    this.#backoff.reset();
  }
}

/** Whether a step only removes what is left of an update: the instance that stays does not depend on it. */
export function isCleanUp(
  step: Step | undefined,
  { goal, update }: Pick<SavedState, 'goal' | 'update'>,
): boolean {
  // one that runs beside the module is stopped first in any case
  if (step === undefined || step.kind === 'stop' || !needsInstance(goal)) return false;
  return isCleanUpPhase(update);
}

/** Whether what is left of an update is removed in its phase. */
export function isCleanUpPhase(update: Pick<SavedUpdate, 'phase'> | undefined): boolean {
  return update?.phase === 'done' || update?.phase === 'abandon';
}
