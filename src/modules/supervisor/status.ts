import type { moduleStates } from '../../interfaces/enumerations.ts';
import { type Goal, isAbsence, isToRun } from './desired-state.ts';
import type { Instance, PullProgress } from './module-type.ts';
import type { Step } from './plan.ts';

const progressMs = 500;
const noStep = { step: undefined, progress: 0, progressText: '' } as const;

/** The published state of a module. */
export type ModuleState = (typeof moduleStates)[number];

/** The part of a status from which the state is derived. */
export interface StateInput {
  readonly goal: Goal;
  readonly instance: Pick<Instance, 'state'> | undefined;
  /** Whether `instance` is current. */
  readonly known: boolean;
  readonly step: Step['kind'] | undefined;
  /** When the next attempt is due, undefined when none is. */
  readonly retryAt: Date | undefined;
  /** Whether the last operation failed and was undone: until the next one, `error` is its failure. */
  readonly failed: boolean;
}

/** Observed and desired state of a module. */
export interface ModuleStatus extends StateInput {
  /** As it was published last. */
  readonly state: ModuleState;
  readonly instance: Instance | undefined;
  readonly progress: number;
  readonly progressText: string;
  readonly restartCount: number;
  /** Why it was restarted last, `` when it was not. */
  readonly restartReason: string;
  readonly error: string;
  /** What an update has left and cannot be removed, `` for nothing. */
  readonly note: string;
  /** The warning of the pull for the configuration in force, `` for none. */
  readonly pullWarning: string;
  /** Why the order of its last start was not kept, `` when it was. */
  readonly orderWarning: string;
}

/**
 * The status of a module. Changes are noted and published together, so that clients see no transient values: half of
 * an observation, or an instance that has just been stopped as still running.
 */
export class StatusTracker {
  readonly #now: () => Date;
  readonly #onStatus: (status: ModuleStatus) => void;
  #current: ModuleStatus;
  #progressAt = 0;
  #isHeld = false;

  constructor(
    initial: Pick<ModuleStatus, 'goal' | 'error'>,
    now: () => Date,
    onStatus: (status: ModuleStatus) => void,
  ) {
    this.#now = now;
    this.#onStatus = onStatus;
    const unknown = { instance: undefined, known: false, retryAt: undefined, failed: false };
    const status = {
      ...initial,
      ...unknown,
      ...noStep,
      note: '',
      pullWarning: '',
      restartCount: 0,
      restartReason: '',
      orderWarning: '',
    };
    this.#current = { ...status, state: stateOf(status) ?? 'unknown' };
  }

  get current(): ModuleStatus {
    return this.#current;
  }

  /** Notes what has changed, for the next publication. */
  note(changes: Partial<Omit<ModuleStatus, 'state'>>): void {
    this.#current = { ...this.#current, ...changes };
  }

  /** Publishes nothing before `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Publishes what is noted, and from now on what is published. */
  release(): void {
    this.#isHeld = false;
    this.publish();
  }

  /** Publishes what is noted. */
  publish(): void {
    if (this.#isHeld) return;
    this.#current = { ...this.#current, state: stateOf(this.#current) ?? this.#current.state };
    this.#onStatus(this.#current);
  }

  /** Publishes a step that begins. It ends with the next observation of the instance. */
  begin(step: Step['kind']): void {
    this.note({ step, progress: 0, progressText: step });
    this.publish();
  }

  /** Notes that no step is in progress. */
  end(): void {
    this.note(noStep);
  }

  /** Publishes the progress of a step at a limited rate: engines report it far more often. */
  progress({ fraction, text }: PullProgress): void {
    const now = this.#now().getTime();
    // the clock may have been set back
    if (Math.abs(now - this.#progressAt) < progressMs) return;
    this.#progressAt = now;
    this.note({ progress: Math.round(fraction * 100) / 100, progressText: text });
    this.publish();
  }
}

/**
 * The published state of a module, undefined where it stays the same. It is derived from the observed instance and from
 * the step that comes next, so that it changes once for each real transition:
 *
 *   create   unknown (─► pulling) ─► created            restart  running ─► stopping ─► starting ─► running
 *   start    created ─► starting ─► running             crash    running ─► backoff ─► starting ─► running
 *   stop     running ─► stopping ─► stopped             delete   running ─► stopping ─► removed
 *   update   running ─► stopping ─► starting ─► running, and once more when it is rolled back
 */
export function stateOf(status: StateInput): ModuleState | undefined {
  switch (status.step) {
    case 'pull':
      // what is pulled replaces it
      return status.instance?.state.kind === 'running' ? betweenSteps(status) : 'pulling';
    case 'create':
    case 'park':
    case 'unpark':
      return isToRun(status.goal) ? 'starting' : undefined;
    case 'start':
    case 'unpause':
      return 'starting';
    case 'stop':
    case 'remove':
      return isAbsence(status.goal) || status.step === 'stop' ? 'stopping' : undefined;
    case 'keep':
    case 'try':
    case 'accept':
    case 'reject':
    case 'abandon':
    case 'end':
      return undefined;
    case undefined:
      return betweenSteps(status);
  }
}

type Between = Omit<StateInput, 'step'>;

function betweenSteps(status: Between): ModuleState | undefined {
  const { instance, known, goal } = status;
  if (goal === 'failed') return 'failed';
  if (!known) return 'unknown';
  if (instance === undefined) return withoutInstance(status);
  if (isAbsence(goal)) return 'stopping';
  switch (instance.state.kind) {
    case 'running':
    case 'paused':
      return whileRunning(status);
    case 'restarting':
      return 'backoff';
    case 'exited':
    case 'created':
      return isToRun(status.goal) ? beforeStart(status) : atRest(status, instance);
    case 'dead':
      return 'failed';
    case 'unknown':
    case 'removing':
      return 'unknown';
  }
}

function withoutInstance(status: Between): ModuleState | undefined {
  if (isToRun(status.goal)) return beforeStart(status);
  return status.retryAt !== undefined && !isAbsence(status.goal) ? 'backoff' : undefined;
}

function whileRunning({ goal, retryAt }: Between): ModuleState {
  const stops = goal === 'stopped' || goal === 'restart';
  return stops && retryAt === undefined ? 'stopping' : 'running';
}

function beforeStart({ retryAt }: Between): ModuleState {
  return retryAt === undefined ? 'starting' : 'backoff';
}

function atRest({ goal, failed }: Between, { state }: Pick<Instance, 'state'>): ModuleState {
  if (failed) return 'failed';
  if (state.kind !== 'exited') return 'created';
  return goal === 'ended' && state.exitCode !== 0 ? 'failed' : 'stopped';
}
