/**
 * The steps from the observed to the desired state. Only the first one is applied, then the state is observed
 * and planned again, so a plan is never outdated for long.
 *
 *   absent ── pull ─▶ absent ── create ─▶ created ── start ─▶ running
 *      ▲                                     ▲                   │ (unpause, when it is paused)
 *      └──────────────── remove ─────────────┴───── exited ◀─ stop
 *
 * A changed specification is pulled while the old instance still runs. Between that pull and `remove` is the place of a
 * step that parks the old instance under another name, for a roll-back: `Step` then has one more kind with an id, and
 * `plan` gets the parked instance.
 */
import type { Instance, InstanceSpec, ResolvedSpec } from './module-type.ts';

/** Desired state of a module. */
export type Desired =
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'present';
      readonly spec: InstanceSpec;
      /** Undefined when something has to be pulled before an instance is created. */
      readonly resolved: ResolvedSpec | undefined;
      /**
       * `stopped`: is not running. `running`: is started whenever it is not. `ended`: has ended by itself,
       * and its restart policy leaves it so.
       */
      readonly run: 'stopped' | 'running' | 'ended';
    };

/**
 * One step. `pull`, `create` and `start` act on the desired instance, `stop`, `remove` and `unpause` on the
 * observed one by its id: by the time of the step, its name may be that of another instance.
 */
export type Step =
  | { readonly kind: 'pull' | 'start'; readonly spec: InstanceSpec }
  | { readonly kind: 'create'; readonly spec: ResolvedSpec }
  | { readonly kind: 'stop' | 'remove' | 'unpause'; readonly id: string };

/**
 * The steps from the observed instance to the desired state, none when nothing is to be done. What follows a pull is
 * planned when it is complete. An instance of others is never changed: ours cannot be created beside it.
 */
export function plan(instance: Instance | undefined, desired: Desired): readonly Step[] {
  const own = instance?.ours === true ? instance : undefined;
  if (desired.kind === 'absent') return own === undefined ? [] : discard(own);
  const { spec, resolved, run } = desired;
  const start: readonly Step[] = run === 'running' ? [{ kind: 'start', spec }] : [];
  if (own !== undefined && own.digest === spec.digest && !isBroken(own)) {
    if (!isLive(own)) return start;
    if (run === 'stopped') return [{ kind: 'stop', id: own.id }];
    return own.state.kind === 'paused' && run === 'running'
      ? [{ kind: 'unpause', id: own.id }]
      : [];
  }
  if (resolved === undefined) return [{ kind: 'pull', spec }];
  return [...(own === undefined ? [] : discard(own)), { kind: 'create', spec: resolved }, ...start];
}

function discard(instance: Instance): readonly Step[] {
  const { id } = instance;
  const remove: Step = { kind: 'remove', id };
  return isLive(instance) ? [{ kind: 'stop', id }, remove] : [remove];
}

/** Whether its processes may run, now or soon. */
export function isLive({ state }: Instance): boolean {
  return (
    state.kind === 'running' ||
    state.kind === 'paused' ||
    state.kind === 'restarting' ||
    state.kind === 'unknown'
  );
}

/** Whether it can only be removed. */
export function isBroken({ state }: Instance): boolean {
  return state.kind === 'dead' || state.kind === 'removing';
}
