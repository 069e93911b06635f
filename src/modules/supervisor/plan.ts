/**
 * The steps from the observed to the desired state. Only the first one is applied, then the state is observed
 * and planned again, so a plan is never outdated for long.
 *
 *   absent ── pull ─▶ absent ── create ─▶ created ── start ─▶ running
 *      ▲                                     ▲                   │
 *      └──────────────── remove ─────────────┴───── exited ◀─ stop
 *
 * A changed specification is pulled while the old instance still runs. Between that pull and `remove` is the place of a
 * step that parks the old instance under another name, for a roll-back: `Step` then has one more kind with an id, and
 * `Observed` the parked instance.
 */
import type { Instance, InstanceSpec } from './module-type.ts';

/** Observed state of a module. */
export interface Observed {
  readonly instance: Instance | undefined;
  /** Whether nothing is to be pulled before an instance is created. */
  readonly isPulled: boolean;
}

/** Desired state of a module. */
export type Desired =
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'present';
      readonly spec: InstanceSpec;
      /**
       * `stopped`: is not running. `running`: is started whenever it is not. `ended`: has ended by itself,
       * and its restart policy leaves it so.
       */
      readonly run: 'stopped' | 'running' | 'ended';
    };

/**
 * One step. `pull`, `create` and `start` act on the desired instance, `stop` and `remove` on the observed one by
 * its id: by the time of the step, its name may be that of another instance.
 */
export type Step =
  | { readonly kind: 'pull' | 'create' | 'start'; readonly spec: InstanceSpec }
  | { readonly kind: 'stop' | 'remove'; readonly id: string };

/** The steps from the observed state to the desired one, none when nothing is to be done. */
export function plan({ instance, isPulled }: Observed, desired: Desired): readonly Step[] {
  if (desired.kind === 'absent') return instance?.ours === true ? discard(instance) : [];
  const { spec } = desired;
  const pull: readonly Step[] = isPulled ? [] : [{ kind: 'pull', spec }];
  if (instance === undefined) return [...pull, ...create(desired)];
  // never stop or remove an instance of others: creating ours fails with AlreadyExists
  if (!instance.ours) return create(desired);
  if (instance.digest !== spec.digest || isBroken(instance)) {
    return [...pull, ...discard(instance), ...create(desired)];
  }
  return run(instance, desired);
}

type Present = Extract<Desired, { kind: 'present' }>;

function create({ run, spec }: Present): readonly Step[] {
  const step: Step = { kind: 'create', spec };
  return run === 'running' ? [step, { kind: 'start', spec }] : [step];
}

function discard(instance: Instance): readonly Step[] {
  const { id } = instance;
  const remove: Step = { kind: 'remove', id };
  return isLive(instance) ? [{ kind: 'stop', id }, remove] : [remove];
}

function run(instance: Instance, { run: wanted, spec }: Present): readonly Step[] {
  if (wanted === 'stopped') return isLive(instance) ? [{ kind: 'stop', id: instance.id }] : [];
  return isLive(instance) || wanted === 'ended' ? [] : [{ kind: 'start', spec }];
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
function isBroken({ state }: Instance): boolean {
  return state.kind === 'dead' || state.kind === 'removing';
}
