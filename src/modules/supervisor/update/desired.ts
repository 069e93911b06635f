/** The desired state that a module's persisted state demands. */
import { desiredRun, isToRun, needsInstance, type SavedState } from '../desired-state.ts';
import { type Desired, isBroken, isLive, type Observed, type Present } from '../plan.ts';

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
  const { oldId, badId, phase: kind } = update;
  return { kind, oldId, badId };
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

/**
 * Whether what is left of an update may be removed. After a roll-back the module has its instance again before that: it must
 * not wait for an engine that cannot remove another one, and may need what is kept for it.
 */
export function mayCleanUp(
  { instance }: Observed,
  { goal, update }: Pick<SavedState, 'goal' | 'update'>,
): boolean {
  if (update?.phase !== 'abandon') return true;
  if (instance?.ours !== true || isBroken(instance)) return false;
  return isLive(instance) || !isToRun(goal);
}
