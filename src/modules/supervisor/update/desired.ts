/** The desired state that a module's persisted state demands. */
import { desiredRun, needsInstance, type SavedState } from '../desired-state.ts';
import type { Desired, Present } from '../plan.ts';

/** The desired state that demands no specification, undefined when one has to be prepared first. */
export function desiredAtOnce(
  { goal, update }: Pick<SavedState, 'goal' | 'update'>,
  /** Whether the new instance of an update has proved good. */
  isGood: boolean,
): Desired | undefined {
  if (!needsInstance(goal)) return { kind: 'absent' };
  if (isGood) return { kind: 'good' };
  if (update === undefined || update.phase === 'fetch' || update.phase === 'trial')
    return undefined;
  return { kind: update.phase, oldId: update.oldId };
}

/** The desired state with the specification of the configuration in force. */
export function desiredWith(
  { goal, update }: Pick<SavedState, 'goal' | 'update'>,
  prepared: Omit<Present, 'run'>,
): Desired {
  const present = { ...prepared, run: desiredRun(goal) };
  if (update?.phase !== 'trial') return { kind: 'present', ...present };
  return { kind: 'trial', ...present, oldId: update.oldId };
}
