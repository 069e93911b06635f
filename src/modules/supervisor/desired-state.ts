import { describeError, ServiceError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import { Mutex } from '../../service/mutex.ts';
import type { ModuleSource } from '../module-source.ts';

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

/** Whether an instance is to run with this desired state. */
export function isToRun(goal: Goal): boolean {
  return goal === 'restart' || goal === 'start' || goal === 'started';
}

/** How the instance of a module is to run, of goals that need one. */
export function desiredRun(goal: Goal): 'stopped' | 'running' | 'ended' {
  return goal === 'stopped' || goal === 'ended' ? goal : 'running';
}

/** The operations on modules. */
export const moduleVerbs = [
  'CreateModule',
  'UpdateModule',
  'Start',
  'Stop',
  'Restart',
  'DeleteModule',
] as const;
export type ModuleVerb = (typeof moduleVerbs)[number];

/** An operation that was accepted and is pending. */
export interface SavedOperation {
  readonly verb: ModuleVerb;
  /** The desired state to return to when it fails. */
  readonly previous: Goal;
  readonly stopTimeoutS?: number | undefined;
}

/** An operation to be accepted. */
export interface NewOperation extends Omit<SavedOperation, 'previous'> {
  /** Of Stop: whether the module, if it is to run, is started again when an update fails that follows. */
  readonly resumes?: boolean | undefined;
}

/** Every phase of an update, which `update.ts` describes. */
export const updatePhases = ['fetch', 'trial', 'done', 'rollback', 'abandon'] as const;
export type UpdatePhase = (typeof updatePhases)[number];

/** The persisted part of an update. */
export interface SavedUpdate {
  readonly phase: UpdatePhase;
  /** The configuration that is not in force; in `fetch` the next one. */
  readonly other: ModuleSource;
  /** In `fetch`, while the one in force is unproven: the last that was proven, whose instance is parked. */
  readonly proven?: ModuleSource | undefined;
  /** Identifies that unproven configuration. */
  readonly triedDigest?: string | undefined;
  /** Identifies the next configuration. */
  readonly digest: string;
  /** The desired state to return to: before the update, or of a later operation. */
  readonly previous: Goal;
  /** Whether the new instance is to run, undefined: as the old one. */
  readonly start?: boolean | undefined;
  /** Since `trial`: the id of the last proven instance, undefined when there was none. */
  readonly oldId?: string | undefined;
  /** Since `rollback`: the id of the new instance, once it is to be parked. */
  readonly badId?: string | undefined;
  /** In `trial`: the processes in which the new instance could not be started for causes that pass by themselves. */
  readonly waits?: number | undefined;
}

/** The configuration that was rolled back last, which is refused for some time. */
export interface Rejection {
  readonly digest: string;
  /** How often it was rolled back, one after the other. */
  readonly count: number;
  /** When it was rolled back last, in milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
}

/** The persisted part of a module's desired state. */
export interface SavedState {
  readonly goal: Goal;
  readonly operation?: SavedOperation | undefined;
  /** Of `failed`: why the module could not be created. */
  readonly failure?: string | undefined;
  readonly update?: SavedUpdate | undefined;
  /** The ids of parked instances that earlier updates have left: they are still to be removed. */
  readonly former?: readonly string[] | undefined;
  /** The last update, if it was rolled back. */
  readonly rejected?: Rejection | undefined;
  /**
   * Whether it ran until it was stopped by a client that stops a module before it updates it: when that update fails or is
   * refused, the module is started again.
   */
  readonly resumes?: true | undefined;
}

/** A module's configuration and its persisted state. */
export interface Configured {
  readonly source: ModuleSource;
  readonly state: SavedState;
}

/** A change of the state; throws to refuse. */
export type Transition = (now: Configured) => Configured;

/** Dependencies of a desired state. */
export interface DesiredStateOptions {
  readonly name: string;
  readonly source: ModuleSource;
  readonly saved: SavedState;
  readonly save: (state: SavedState, source: ModuleSource) => Promise<void>;
  readonly onGoal: (goal: Goal) => void;
  readonly log: Log;
}

/**
 * The desired state of a module with its configuration, changed by operations and by the supervisor: one change after the
 * other, each persisted first.
 */
export class DesiredState {
  readonly #options: DesiredStateOptions;
  #source: ModuleSource;
  #saved: SavedState;
  readonly #changes = new Mutex();
  #isClosed = false;

  constructor(options: DesiredStateOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#saved = options.saved;
  }

  /** The configuration in force. */
  get source(): ModuleSource {
    return this.#source;
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

  get update(): SavedUpdate | undefined {
    return this.#saved.update;
  }

  get former(): readonly string[] {
    return this.#saved.former ?? [];
  }

  get rejected(): Rejection | undefined {
    return this.#saved.rejected;
  }

  get resumes(): boolean {
    return this.#saved.resumes === true;
  }

  /** Persists an operation and its desired state; NotFound when the module was removed. */
  accept(goal: Goal, { resumes = false, ...operation }: NewOperation): Promise<void> {
    return this.#changes.run(async () => {
      this.#refuseClosed();
      const { former, update, rejected } = this.#saved;
      await this.#set({
        goal,
        operation: { ...operation, previous: this.goal },
        update: withGoal(update, goal),
        ...(former !== undefined && { former }),
        rejected,
        // a client that has waited too long stops it again
        ...(resumes && (isToRun(this.goal) || this.resumes) && { resumes }),
      });
    });
  }

  /** Persists another state; NotFound when the module was removed. */
  change(transition: Transition): Promise<void> {
    return this.#changes.run(async () => {
      this.#refuseClosed();
      await this.#become(transition(this.#configured));
    });
  }

  /** Changes to another state, which holds for this process even if it cannot be persisted. */
  force(transition: Transition): Promise<void> {
    return this.#changes.run(async () => {
      if (!this.#isClosed) await this.#settle(transition(this.#configured));
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
      const goal = settledGoal ?? this.goal;
      if (this.#isClosed || (this.operation === undefined && goal === this.goal)) return;
      const { former, update, rejected, resumes } = this.#saved;
      const text = goal === 'failed' ? (failure ?? this.failure) : undefined;
      const isSame = this.operation?.verb === 'UpdateModule';
      const left = isSame ? update : withGoal(update, goal);
      const kept = { update: left, ...(former !== undefined && { former }), rejected, resumes };
      const state = { goal, failure: text, ...kept };
      await this.#settle({ source: this.#source, state });
    });
  }

  /** Accepts no further operations, if that is still the desired state; resolves to whether it is. */
  close(goal: Goal): Promise<boolean> {
    return this.#changes.run(async () => {
      this.#isClosed = this.goal === goal;
      return Promise.resolve(this.#isClosed);
    });
  }

  get #configured(): Configured {
    return { source: this.#source, state: this.#saved };
  }

  #refuseClosed(): void {
    if (!this.#isClosed) return;
    throw new ServiceError('NotFound', `no module ${JSON.stringify(this.#options.name)}`);
  }

  async #settle(settled: Configured): Promise<void> {
    const { log, name } = this.#options;
    try {
      await this.#become(settled);
    } catch (error) {
      log.error('desired state not saved', { module: name, error: describeError(error) });
      this.#hold(settled);
    }
  }

  #set(state: SavedState): Promise<void> {
    return this.#become({ source: this.#source, state });
  }

  async #become(next: Configured): Promise<void> {
    await this.#options.save(next.state, next.source);
    this.#hold(next);
  }

  #hold({ source, state }: Configured): void {
    this.#source = source;
    this.#saved = state;
    this.#options.onGoal(state.goal);
  }
}

/** An update after an operation: a roll-back returns to the desired state of the operation. */
function withGoal(update: SavedUpdate | undefined, goal: Goal): SavedUpdate | undefined {
  return update && { ...update, previous: goal };
}
