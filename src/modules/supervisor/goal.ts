import type { ServiceError } from '../../errors.ts';
import type { moduleStates } from '../../interfaces/words.ts';
import type { Container } from '../docker/engine.ts';
import type { Work } from './apply.ts';
import type { PulledImage } from './module-image.ts';
import type { Desired, Step } from './plan.ts';

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

/** The published state of a module. */
export type ModuleState = (typeof moduleStates)[number];

/** Whether the module is to be removed. */
export function isAbsence(goal: Goal): boolean {
  return goal === 'absent' || goal === 'erased';
}

/** Whether there is to be a container. */
export function needsContainer(goal: Goal): boolean {
  return !isAbsence(goal) && goal !== 'failed';
}

/** A module's configuration, ready for the engine. */
export interface Prepared extends Pick<Work, 'body' | 'network' | 'check'> {
  readonly image: PulledImage;
  readonly digest: string;
  readonly refusal?: undefined;
}

/** Why a module may not run at present, even if it is running. */
export interface Refused {
  readonly refusal: ServiceError;
}

/** Observed and desired state of a module. */
export interface ModuleStatus {
  readonly goal: Goal;
  /** As it was published last. */
  readonly state: ModuleState;
  readonly container: Container | undefined;
  /** Whether `container` is current. */
  readonly known: boolean;
  readonly step: Step['kind'] | undefined;
  readonly progress: number;
  readonly progressText: string;
  readonly restartCount: number;
  /** When the next attempt is due, undefined when none is. */
  readonly retryAt: Date | undefined;
  readonly error: string;
  /** A warning for the user although nothing failed, `` for none. */
  readonly note: string;
  /** Whether the last operation failed and was undone: until the next one, `error` is its failure. */
  readonly failed: boolean;
}

/** The desired state as the planner needs it. */
export function desiredOf(goal: Goal, prepared: Prepared | undefined): Desired {
  if (!needsContainer(goal) || prepared === undefined) return { kind: 'absent' };
  const run = goal === 'stopped' || goal === 'ended' ? goal : 'running';
  return { kind: 'present', digest: prepared.digest, run };
}
