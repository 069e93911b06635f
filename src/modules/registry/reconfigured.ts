import { type ModuleSource, sourceDigest } from '../module-source.ts';
import type { Configured, SavedState } from '../supervisor/desired-state.ts';

/**
 * The agent after modules.yaml was read. What it was updated to holds until modules.yaml has another configuration: that
 * one ends a pending update, too. There is no way back to the configuration before, so only the parked instance is left.
 */
export function reconfigured({ source, state }: Configured, read: ModuleSource): Configured {
  if (baseOf(source) === baseOf(read)) {
    const isPlain = source.base === undefined && read.base === undefined;
    // the digest does not show credentials that have changed
    return { source: isPlain ? read : source, state };
  }
  return superseded(state, read);
}

/** The agent with another configuration of modules.yaml than before. */
export function superseded(state: SavedState, read: ModuleSource): Configured {
  const { update } = state;
  if (update === undefined) return { source: read, state };
  const { proven: _proven, triedDigest: _triedDigest, ...rest } = update;
  return { source: read, state: { ...state, update: { ...rest, phase: 'done' } } };
}

/** Identifies the configuration in modules.yaml that one is, or replaces. */
function baseOf(source: ModuleSource): string {
  return source.base ?? sourceDigest(source);
}
