/**
 * An update of a module: its phases, each persisted before it is acted on. A process that ends in any of them leaves the
 * previous or the next configuration in force, and the next process continues.
 *
 *   phase      in force   meaning                                             becomes
 *   fetch      previous   what the next instance needs is pulled              trial, or abandon when that fails
 *   trial      next       the old instance is parked, the new one unproven    done, or rollback when it is bad
 *   done       next       the old instance is removed                         no update
 *   rollback   previous   the new one is removed, the old one is back         abandon
 *   abandon    previous   nothing was changed, or all is as before            no update
 *
 * An update may begin in `done` and `abandon`: what is left to be removed then is persisted apart, as `former`.
 *
 * A new instance that is not to run stays unproven until it is started. Another update then replaces it: it is fetched
 * while the unproven one is in force, and the parked one, the last that was proven, stays the one to return to.
 */
import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import {
  type Configured,
  isAbsence,
  isToRun,
  type Rejection,
  type SavedState,
  type SavedUpdate,
} from '../desired-state.ts';
import type { Instance, InstanceSpec } from '../module-type.ts';

/** The configuration of a module was rolled back, or is refused because it was rolled back before. */
export class RolledBack extends ServiceError {
  constructor(reason: string, options?: ErrorOptions) {
    super('Unavailable', reason, options);
  }
}

const firstRefusalMs = 10_000;
const longestRefusalMs = 300_000;

/** RolledBack for a configuration that was rolled back a short time ago. */
export function refuseRejected(rejection: Rejection | undefined, digest: string, now: Date): void {
  if (rejection?.digest !== digest) return;
  const { at, count, reason } = rejection;
  const refusedMs = Math.min(firstRefusalMs * 2 ** (count - 1), longestRefusalMs);
  const elapsedMs = now.getTime() - at;
  // the clock may have been set back since
  if (elapsedMs < 0 || elapsedMs >= refusedMs) return;
  const leftS = Math.ceil((refusedMs - elapsedMs) / 1000);
  throw new RolledBack(
    `this configuration was rolled back and may be tried again in ${leftS} s: ${reason}`,
  );
}

/** The most instances of earlier updates that may be left to be removed: each round inspects all of them. */
const mostFormer = 8;

/**
 * The state of a module whose update is accepted; Unavailable while the previous one is undone. What that one has left is
 * removed beside the update.
 */
export function accepted(
  { source, state }: Configured,
  next: Pick<SavedUpdate, 'other' | 'digest' | 'start'>,
): Configured {
  const { goal, rejected, resumes, update } = state;
  if (update?.phase === 'fetch' || update?.phase === 'rollback') {
    const progress = update.phase === 'fetch' ? 'has not ended yet' : 'is being rolled back';
    const text = `the previous update of module ${quoted(source.name)} ${progress}: try again later`;
    throw new ServiceError('Unavailable', text);
  }
  const former = formerOf(state);
  if (former.length > mostFormer) {
    const text = `the containers of ${former.length} earlier updates cannot be removed`;
    throw new ServiceError('Unavailable', text);
  }
  const unproven = update?.phase === 'trial' && {
    proven: update.other,
    triedDigest: update.digest,
    oldId: update.oldId,
  };
  const previous = resumes === true ? 'start' : goal;
  const fetching = { ...next, ...unproven, phase: 'fetch', previous } as const;
  const operation = { verb: 'UpdateModule', previous: goal } as const;
  const kept = rejected?.digest === next.digest ? rejected : undefined;
  const left = former.length > 0 && { former };
  const accepting = { goal, operation, ...left, rejected: kept, update: fetching, resumes };
  return { source, state: accepting };
}

/** The instances that are left to be removed when another update begins. */
function formerOf({ former = [], update }: SavedState): readonly string[] {
  const { badId, oldId, phase } = { ...update };
  const ids = phase === 'trial' ? [] : [phase === 'done' ? oldId : undefined, badId];
  return [...former, ...ids.flatMap((id) => id ?? [])];
}

/** The state after instances of earlier updates were removed, or became those of the module again. */
export function withoutFormer(
  { source, state: { former: before = [], ...state } }: Configured,
  ids: readonly (string | undefined)[],
): Configured {
  const former = before.filter((id) => !ids.includes(id));
  return { source, state: former.length === 0 ? state : { ...state, former } };
}

/** The state of a module that was stopped for an update which is refused. */
export function resumed({ source, state }: Configured): Configured {
  const { resumes, ...rest } = state;
  return { source, state: resumes === true ? { ...rest, goal: 'start' } : state };
}

/** The state after what the next instance needs was pulled; `oldId` is parked next. */
export function tried(before: Configured, oldId: string | undefined): Configured {
  const { source, state } = withoutFormer(before, [oldId]);
  const { update } = state;
  if (update?.phase !== 'fetch') return { source, state };
  const runs = update.start ?? isToRun(state.goal);
  const goal = runs ? 'start' : 'stopped';
  // from now on the update has the desired state to return to
  const { resumes: _resumes, ...kept } = state;
  const { proven, triedDigest: _triedDigest, ...rest } = update;
  const last = proven === undefined ? { other: source, oldId } : { other: proven };
  const trial = { ...rest, ...last, phase: 'trial' } as const;
  return { source: update.other, state: { ...kept, goal, update: trial } };
}

/** Whether the outcome of an update is open: in the other phases only its old or new instance is left to be removed. */
export function isOpen(update: SavedUpdate | undefined): boolean {
  return update?.phase === 'fetch' || update?.phase === 'trial';
}

/** Whether an instance is the new one of an update: neither the old one, nor the unproven one of the update before. */
export function isNew(
  { digest, id }: Pick<Instance, 'digest' | 'id'>,
  update: SavedUpdate,
  spec: Pick<InstanceSpec, 'digest'>,
): boolean {
  return id !== update.oldId && digest === spec.digest;
}

/** The state after the new instance has proved to be good. */
export function kept({ source, state }: Configured): Configured {
  const { update } = state;
  if (update?.phase !== 'trial') return { source, state };
  return { source, state: { ...state, update: { ...update, phase: 'done' }, rejected: undefined } };
}

/** The state after the old instance is back, or is known to be lost: only what was kept for it is left. */
export function abandoned({ source, state }: Configured): Configured {
  const { update } = state;
  if (update?.phase !== 'rollback') return { source, state };
  const { oldId: _oldId, ...rest } = update;
  return { source, state: { ...state, update: { ...rest, phase: 'abandon' } } };
}

/** The state after everything that is left of an update was removed. */
export function ended({ source, state }: Configured): Configured {
  return { source, state: { ...state, update: undefined } };
}

/**
 * The state after an update failed, or was cancelled without a reason, and its operation has ended: the previous
 * configuration is in force, and one that was tried is refused for some time.
 */
export function undone(
  { source, state: { operation: _operation, ...state } }: Configured,
  failure: { readonly reason: string; readonly at: Date } | undefined,
): Configured {
  const { update } = state;
  if (isAbsence(state.goal)) return { source, state };
  if (update?.phase === 'fetch') {
    const { proven, triedDigest, ...rest } = update;
    const left: SavedUpdate =
      proven === undefined
        ? { ...rest, phase: 'abandon' }
        : { ...rest, phase: 'trial', other: proven, digest: triedDigest ?? '' };
    return resumed({ source, state: { ...state, update: left } });
  }
  if (update?.phase !== 'trial') return { source, state };
  const { digest, previous, other } = update;
  const rejected = failure === undefined ? state.rejected : rejection(state, digest, failure);
  const goal = isToRun(previous) ? 'start' : previous;
  const rollback = { ...update, phase: 'rollback', other: source } as const;
  return { source: other, state: { ...state, goal, update: rollback, rejected } };
}

function rejection(
  { rejected }: SavedState,
  digest: string,
  { reason, at }: { readonly reason: string; readonly at: Date },
): Rejection {
  const before = rejected?.digest === digest ? rejected.count : 0;
  return { digest, count: before + 1, at: at.getTime(), reason };
}
