import type { Log } from '../../../service/log/log.ts';
import type { Goal } from '../desired-state.ts';
import { DamagedInstance, type Instance } from '../module-type.ts';
import { isBroken, type Step } from '../plan.ts';
import type { StatusTracker } from '../status.ts';
import type { RestartBackoff } from './restart-backoff.ts';
import { isCounted, type RestartCause, type RestartReason, reasonText } from './restart-reason.ts';

/** Dependencies of a tracker. */
export interface RestartTrackerOptions {
  readonly name: string;
  readonly status: StatusTracker;
  readonly backoff: Pick<RestartBackoff, 'endCause'>;
  readonly log: Log;
}

/** Tracks why a module is about to be restarted, and which of its instances can only be created again. */
export class RestartTracker {
  readonly #options: RestartTrackerOptions;
  /** Why it is about to be restarted, when that is not how its last run ended. */
  #cause: RestartCause | undefined;
  /** The instance that can only be created again. */
  #damagedId = '';
  /** The last instance that was neither dead nor being removed. */
  #wholeId = '';
  /** Whether one was replaced at once because it was damaged. */
  #hasReplaced = false;

  constructor(options: RestartTrackerOptions) {
    this.#options = options;
  }

  /** Forgets the cause: another operation begins, or the desired state is reached. */
  reset(): void {
    this.#cause = undefined;
    this.#hasReplaced = false;
  }

  /** Notes why it is about to be restarted, in place of what was noted before. */
  note(cause: RestartCause): void {
    this.#cause = cause;
  }

  /** Notes that a caller requested its restart, unless there is another cause. */
  requested(): void {
    this.#cause ??= 'requested';
  }

  /** Notes that an instance vanished, which the module itself does not remove at present. */
  vanished(): void {
    this.#cause ??= 'removed';
  }

  /** Notes an observed instance; returns it as dead when it could not be continued, unless it runs nevertheless. */
  observed(instance: Instance): Instance {
    if (!isBroken(instance)) this.#wholeId = instance.id;
    const isDamaged = instance.id === this.#damagedId && instance.state.kind !== 'running';
    return isDamaged ? { ...instance, state: { kind: 'dead' } } : instance;
  }

  /** Notes that an instance is about to be replaced by one of a digest. */
  replaced(instance: Instance, digest: string): void {
    this.#cause ??= this.#causeOfReplacement(instance, digest);
  }

  /**
   * Notes that a step failed. Returns whether its instance is to be replaced at once, which is so for one that turns out to
   * be damaged: the next one may fail for a cause that lasts.
   */
  failed(step: Step, error: unknown): boolean {
    const isDamaged = error instanceof DamagedInstance;
    if (step.kind !== 'unpause' && !isDamaged) return false;
    this.#damagedId = this.#options.status.current.instance?.id ?? '';
    if (!isDamaged || this.#hasReplaced) return false;
    this.#hasReplaced = true;
    return true;
  }

  /** Notes that an instance was removed. */
  removed(): void {
    this.#damagedId = '';
  }

  /** Why a start is a restart, undefined when it is the first start or was requested. Before the start. */
  reason(goal: Goal): RestartReason | undefined {
    const { backoff, status } = this.#options;
    const cause = this.#cause ?? (goal === 'start' ? undefined : backoff.endCause);
    if (cause !== 'exited') return cause && { cause };
    const state = status.current.instance?.state;
    return { cause, exitCode: state?.kind === 'exited' ? state.exitCode : 0 };
  }

  /** Notes and reports a restart. */
  restarted(reason: RestartReason): void {
    const { log, name, status } = this.#options;
    const { restartCount: before } = status.current;
    const restartCount = isCounted(reason) ? before + 1 : before;
    status.note({ restartCount, restartReason: reasonText(reason) });
    log.info('module restarted', { module: name, ...reason, restartCount });
    this.#cause = undefined;
  }

  #causeOfReplacement(instance: Instance, digest: string): RestartCause {
    if (instance.drift !== undefined) return 'drifted';
    if (instance.digest !== digest) return 'changed';
    // it is dead for a while when another process removes it
    const isGoing = instance.id === this.#wholeId && instance.id !== this.#damagedId;
    return isGoing ? 'removed' : 'damaged';
  }
}
