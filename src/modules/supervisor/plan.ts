/**
 * The steps from the observed to the desired state. Only the first one is applied, then the state is observed
 * and planned again, so a plan is never outdated for long.
 *
 *   absent ── pull ─▶ absent ── create ─▶ created ── start ─▶ running
 *      ▲                                     ▲                   │
 *      └──────────────── remove ─────────────┴───── exited ◀─ stop
 *
 * A changed configuration fetches its image while the old container still runs.
 */
import type { Container } from '../docker/engine.ts';

/** Observed state of a module. */
export interface Current {
  readonly container: Container | undefined;
  /** Whether the engine has the image that is wanted. */
  readonly imagePresent: boolean;
}

/** Desired state of a module. */
export type Desired =
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'present';
      readonly digest: string;
      /**
       * `stopped`: is not running. `running`: is started whenever it is not. `ended`: has ended by itself,
       * and its restart policy leaves it so.
       */
      readonly run: 'stopped' | 'running' | 'ended';
    };

/**
 * One step. `pull`, `create` and `start` act on the desired container, `stop` and `remove` on the observed one by
 * its id: by the time of the step, its name may be that of another container.
 */
export type Step =
  | { readonly kind: 'pull' }
  | { readonly kind: 'stop'; readonly id: string }
  | { readonly kind: 'remove'; readonly id: string }
  | { readonly kind: 'create' }
  | { readonly kind: 'start' };

/** The steps from the current state to the desired one, none when nothing is to be done. */
export function plan(current: Current, desired: Desired): readonly Step[] {
  const container = current.container;
  if (desired.kind === 'absent') return container?.ours === true ? discard(container) : [];
  const pull: readonly Step[] = current.imagePresent ? [] : [{ kind: 'pull' }];
  if (container === undefined) return [...pull, ...make(desired)];
  // never stop or remove a container of others: creating ours fails with AlreadyExists
  if (!container.ours) return make(desired);
  if (container.digest !== desired.digest || isBroken(container)) {
    return [...pull, ...discard(container), ...make(desired)];
  }
  return run(container, desired.run);
}

type Present = Extract<Desired, { kind: 'present' }>;

function make(desired: Present): readonly Step[] {
  return desired.run !== 'running' ? [{ kind: 'create' }] : [{ kind: 'create' }, { kind: 'start' }];
}

function discard(container: Container): readonly Step[] {
  const { id } = container;
  const remove: Step = { kind: 'remove', id };
  return isLive(container) ? [{ kind: 'stop', id }, remove] : [remove];
}

function run(container: Container, wanted: Present['run']): readonly Step[] {
  if (wanted === 'stopped') return isLive(container) ? [{ kind: 'stop', id: container.id }] : [];
  return isLive(container) || wanted === 'ended' ? [] : [{ kind: 'start' }];
}

/** Whether its processes may run, now or soon. */
export function isLive({ state }: Container): boolean {
  return (
    state.kind === 'running' ||
    state.kind === 'paused' ||
    state.kind === 'restarting' ||
    state.kind === 'unknown'
  );
}

/** Whether it can only be removed. */
function isBroken({ state }: Container): boolean {
  return state.kind === 'dead' || state.kind === 'removing';
}
