import type { ServiceError } from '../../errors.ts';
import type { moduleStates } from '../../interfaces/words.ts';
import type { Container } from '../docker/engine.ts';
import type { Work } from './apply.ts';
import type { PulledImage } from './module-image.ts';
import type { Desired, Step } from './plan.ts';

/**
 * Every desired state of a module.
 *
 *   goal       means                                       becomes
 *   stopped    there is an instance, it does not run
 *   restart    it stops first                              start, when it has stopped
 *   start      it starts even if it has ended              started, when it has started
 *   started    it runs, again after it ended               ended, when its restart policy says so
 *   ended      it has ended by itself and stays so
 *   failed     it could not be created: no instance
 *   absent     there is no instance                        the loop ends
 *   erased     nor an identity at the hub                  the loop ends
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

/** The one word for how a module is. */
export type ModuleState = (typeof moduleStates)[number];

/** Whether nothing of the module is to be left. */
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

/** Why a module may not run at present, even where it runs already. */
export interface Refused {
  readonly refusal: ServiceError;
}

/** How a module is, for those who want to know. */
export interface ModuleStatus {
  readonly goal: Goal;
  /** The one word for how it is, as it was published last. */
  readonly state: ModuleState;
  readonly container: Container | undefined;
  /** Whether `container` is what the engine says at present. */
  readonly known: boolean;
  readonly step: Step['kind'] | undefined;
  readonly progress: number;
  readonly progressText: string;
  readonly restartCount: number;
  /** When the next attempt is made, undefined when none is due. */
  readonly retryAt: Date | undefined;
  readonly error: string;
  /** What the user should know although nothing failed, `` when there is nothing. */
  readonly note: string;
  /** Whether the last operation failed and was undone: until the next one, `error` says why. */
  readonly failed: boolean;
}

/** What the goal means for planning. */
export function desiredOf(goal: Goal, prepared: Prepared | undefined): Desired {
  if (!needsContainer(goal) || prepared === undefined) return { kind: 'absent' };
  const run = goal === 'stopped' || goal === 'ended' ? goal : 'running';
  return { kind: 'present', digest: prepared.digest, run };
}
