/**
 * From what is there to what shall be, as steps. The first step is applied, then the engine is asked
 * again and a new plan made, so a plan is never wrong for long.
 *
 *   absent ── pull ─▶ absent ── create ─▶ created ── start ─▶ running
 *      ▲                                     ▲                   │
 *      └──────────────── remove ─────────────┴───── exited ◀─ stop
 *
 * A changed configuration fetches its image while the old container still runs.
 */
import type { Container } from '../docker/engine.ts';

/** What there is of a module. */
export interface Current {
  readonly container: Container | undefined;
  /** Whether the engine has the image that is wanted. */
  readonly imagePresent: boolean;
}

/** What there shall be of a module. */
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
 * One thing to do. `pull`, `create` and `start` are about what is wanted, `stop` and `remove` about the
 * container that was looked at: by the time of the step, its name may be another's.
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
  // Another's container is not ours to stop or remove: creating ours will say AlreadyExists.
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

/** Whether something of it may run, now or soon. */
export function isLive({ state }: Container): boolean {
  return (
    state.kind === 'running' ||
    state.kind === 'paused' ||
    state.kind === 'restarting' ||
    state.kind === 'unknown'
  );
}

/** Whether it can only be thrown away. */
function isBroken({ state }: Container): boolean {
  return state.kind === 'dead' || state.kind === 'removing';
}
