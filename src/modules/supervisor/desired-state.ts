import { describeError, ServiceError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import { Mutex } from '../../service/mutex.ts';

/**
 * Every desired state of a module.
 *
 *   goal       meaning                                     becomes
 *   stopped    there is an instance, it does not run
 *   restart    it stops first                              start, when it has stopped
 *   start      it starts even if it has ended              started, when it has started
 *   started    it runs, again after it ended               ended, when its restart policy does not apply
 *   ended      it has ended by itself and stays so
 *   failed     it could not be created
 *   absent     its instance is removed                     the loop ends
 *   erased     so is its identity at the hub               the loop ends
 */
export const goals = [
  'stopped',
  'restart',
  'start',
  'started',
  'ended',
  'failed',
  'absent',
  'erased',
] as const;
/** The desired state of a module. */
export type Goal = (typeof goals)[number];

/** Whether the module is to be removed. */
export function isAbsence(goal: Goal): boolean {
  return goal === 'absent' || goal === 'erased';
}

/** Whether there is to be an instance. */
export function needsInstance(goal: Goal): boolean {
  return !isAbsence(goal) && goal !== 'failed';
}

/** How the instance of a module is to run, of goals that need one. */
export function desiredRun(goal: Goal): 'stopped' | 'running' | 'ended' {
  return goal === 'stopped' || goal === 'ended' ? goal : 'running';
}

/** The operations on modules. */
export const moduleVerbs = ['CreateModule', 'Start', 'Stop', 'Restart', 'DeleteModule'] as const;
export type ModuleVerb = (typeof moduleVerbs)[number];

/** An operation that was accepted and is pending. */
export interface SavedOperation {
  readonly verb: ModuleVerb;
  /** The desired state to return to when it fails. */
  readonly previous: Goal;
  readonly stopTimeoutS?: number | undefined;
}

/** The persisted part of a module's desired state. */
export interface SavedState {
  readonly goal: Goal;
  readonly operation?: SavedOperation | undefined;
  /** Of `failed`: why the module could not be created. */
  readonly failure?: string | undefined;
}

/** Dependencies of a desired state. */
export interface DesiredStateOptions {
  readonly name: string;
  readonly saved: SavedState;
  readonly save: (state: SavedState) => Promise<void>;
  readonly onGoal: (goal: Goal) => void;
  readonly log: Log;
}

/** The desired state of a module, changed by operations and by the supervisor: one change after the other, each persisted first. */
export class DesiredState {
  readonly #options: DesiredStateOptions;
  #saved: SavedState;
  readonly #changes = new Mutex();
  #isClosed = false;

  constructor(options: DesiredStateOptions) {
    this.#options = options;
    this.#saved = options.saved;
  }

  get goal(): Goal {
    return this.#saved.goal;
  }

  get operation(): SavedOperation | undefined {
    return this.#saved.operation;
  }

  /** Why the module could not be created, `` when it was. */
  get failure(): string {
    return this.#saved.failure ?? '';
  }

  /** Persists an operation and its desired state; NotFound when the module was removed. */
  accept(goal: Goal, operation: Omit<SavedOperation, 'previous'>): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#isClosed) {
        const text = `no module ${JSON.stringify(this.#options.name)}`;
        throw new ServiceError('NotFound', text);
      }
      await this.#set({ goal, operation: { ...operation, previous: this.goal } });
    });
  }

  /** Moves on from one desired state to the next, unless an operation has changed it meanwhile. */
  advance(from: Goal, to: Goal): Promise<void> {
    return this.#changes.run(async () => {
      if (this.goal === from) await this.#set({ ...this.#saved, goal: to });
    });
  }

  /** Ends the operation in this desired state, which holds for this process even if it cannot be persisted. */
  settle(settledGoal?: Goal, failure?: string): Promise<void> {
    return this.#changes.run(async () => {
      const { log, name, onGoal } = this.#options;
      const goal = settledGoal ?? this.goal;
      if (this.#isClosed || (this.operation === undefined && goal === this.goal)) return;
      const settled = { goal, failure: goal === 'failed' ? (failure ?? this.failure) : undefined };
      try {
        await this.#set(settled);
      } catch (error) {
        log.error('desired state not saved', { module: name, error: describeError(error) });
        this.#saved = settled;
        onGoal(goal);
      }
    });
  }

  /** Accepts no further operations, if that is still the desired state; resolves to whether it is. */
  close(goal: Goal): Promise<boolean> {
    return this.#changes.run(async () => {
      this.#isClosed = this.goal === goal;
      return Promise.resolve(this.#isClosed);
    });
  }

  async #set(state: SavedState): Promise<void> {
    await this.#options.save(state);
    this.#saved = state;
    this.#options.onGoal(state.goal);
  }
}
