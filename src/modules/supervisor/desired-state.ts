import { describeError, ServiceError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import { Mutex } from '../../service/mutex.ts';
import type { Goal } from './goal.ts';

/** The operations on modules. */
export const moduleVerbs = ['CreateModule', 'Start', 'Stop', 'Restart', 'DeleteModule'] as const;
export type ModuleVerb = (typeof moduleVerbs)[number];

/** An operation that was accepted and has not ended. */
export interface SavedOperation {
  readonly verb: ModuleVerb;
  /** The goal that it goes back to when it fails. */
  readonly previous: Goal;
  readonly stopTimeoutS?: number | undefined;
}

/** What of a module's desired state outlives the process. */
export interface SavedState {
  readonly goal: Goal;
  readonly operation?: SavedOperation | undefined;
  /** Why it could not be made, of the goal `failed`. */
  readonly failure?: string | undefined;
}

/** What a desired state is kept with. */
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

  /** Why it could not be made, `` when it was. */
  get failure(): string {
    return this.#saved.failure ?? '';
  }

  /** Persists an operation and its goal. NotFound when the module has gone. */
  accept(goal: Goal, operation: Omit<SavedOperation, 'previous'>): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#isClosed) {
        const text = `no module ${JSON.stringify(this.#options.name)}`;
        throw new ServiceError('NotFound', text);
      }
      await this.#set({ goal, operation: { ...operation, previous: this.goal } });
    });
  }

  /** The supervisor goes on from one goal to the next, unless there is another one meanwhile. */
  advance(from: Goal, to: Goal): Promise<void> {
    return this.#changes.run(async () => {
      if (this.goal === from) await this.#set({ ...this.#saved, goal: to });
    });
  }

  /** The operation has ended, with this goal. What cannot be persisted holds all the same, for this process. */
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

  /** Accepts no further operations, if that is still the goal. */
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
