import type { ServiceError } from '../errors.ts';
import type { Work } from './apply.ts';
import type { Container } from './engine.ts';
import type { PulledImage } from './module-image.ts';
import type { Desired, Step } from './plan.ts';

/** What shall become of a module. */
export type Goal = 'stopped' | 'restart' | 'start' | 'started' | 'ended' | 'absent';

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
export interface Report {
  readonly goal: Goal;
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
}

/** What the goal means for planning. */
export function desiredOf(goal: Goal, prepared: Prepared | undefined): Desired {
  if (goal === 'absent' || prepared === undefined) return { kind: 'absent' };
  const run = goal === 'stopped' || goal === 'ended' ? goal : 'running';
  return { kind: 'present', digest: prepared.digest, run };
}
