import { ServiceError } from '../../errors.ts';
import { type ModuleSource, sourceDigest } from '../module-source.ts';
import {
  type Configured,
  type Goal,
  isAbsence,
  isToRun,
  type SavedState,
  type SavedUpdate,
} from '../supervisor/desired-state.ts';
import { isOpen } from '../supervisor/update/update.ts';

/** An operation that the agent requested for itself ended because modules.yaml has another configuration of it. */
export class Superseded extends ServiceError {
  constructor(name: string) {
    const text = `superseded: modules.yaml has another configuration of module ${JSON.stringify(name)}`;
    super('Cancelled', text);
  }
}

/**
 * The agent after modules.yaml was read. What it was updated to holds until modules.yaml has another configuration: that
 * one ends a pending update, too. There is no way back to the configuration before, so only the parked instance is left.
 */
export function reconfigured({ source, state }: Configured, read: ModuleSource): Configured {
  if (isAbsence(state.goal)) return revived(state, read);
  if (baseOf(source) === baseOf(read)) {
    const isPlain = source.base === undefined && read.base === undefined;
    // the digest does not show credentials that have changed
    return { source: isPlain ? read : source, state };
  }
  return superseded(state, read);
}

/**
 * The agent with another configuration of modules.yaml than before: without the operation of its own update, and it runs
 * if it ran before that.
 */
export function superseded(state: SavedState, read: ModuleSource): Configured {
  const { operation, resumes, update, ...kept } = state;
  const isOfUpdate = operation?.verb === 'UpdateModule' || resumes === true;
  return {
    source: read,
    state: {
      ...kept,
      goal: resumes === true ? 'start' : goalBefore(state),
      ...(operation !== undefined && !isOfUpdate && { operation }),
      ...(update !== undefined && { update: endedUpdate(update) }),
    },
  };
}

/** A former agent, which modules.yaml no longer names: it is removed, also by the next process, which knows it by its base. */
export function retired({ source, state: { update } }: Configured): Configured {
  const state = { goal: 'absent', ...(update !== undefined && { update }) } as const;
  return { source: { ...source, base: baseOf(source) }, state };
}

/** A former agent that modules.yaml names again. */
export function revived({ update }: SavedState, read: ModuleSource): Configured {
  const left = update !== undefined && { update: endedUpdate(update) };
  return { source: read, state: { goal: 'started', ...left } };
}

/** The same: persisted, so that the next process knows of the agent even if modules.yaml no longer names it. */
export function recorded(now: Configured): Configured {
  return now;
}

/** The desired state without a pending update. */
function goalBefore({ goal, update }: SavedState): Goal {
  if (update === undefined || !isOpen(update)) return goal;
  return isToRun(update.previous) ? 'start' : update.previous;
}

function endedUpdate(update: SavedUpdate): SavedUpdate {
  const { proven: _proven, triedDigest: _triedDigest, ...rest } = update;
  return { ...rest, phase: 'done' };
}

/** Identifies the configuration in modules.yaml that one is, or replaces. */
function baseOf(source: ModuleSource): string {
  return source.base ?? sourceDigest(source);
}
