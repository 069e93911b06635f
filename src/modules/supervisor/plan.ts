/**
 * The steps from the observed to the desired state. Only the first one is applied, then the state is observed
 * and planned again, so a plan is never outdated for long.
 *
 *   absent ── pull ─▶ absent ── create ─▶ created ── start ─▶ running
 *      ▲                                     ▲                   │ (unpause, when it is paused)
 *      └──────────────── remove ─────────────┴───── exited ◀─ stop
 *
 * During an update the old instance is parked, stopped and under another name, while there is a new one:
 *
 *   running ── keep, pull, try, stop, park ─▶ parked ── create, start ─▶ parked and running ─┐
 *      ▲                                        │                                          │
 *      ├──────────────── unpark, abandon ───────┴──── stop, reject, park ◀── bad ──────────┤
 *      ◀──────────────── remove the parked one, end ◀──────────────── good, accept ────────┘
 *
 * After a roll-back the old instance runs again before the bad one, parked as well, is removed: an engine may not be able to.
 */
import type { Instance, InstanceSpec, ResolvedSpec } from './module-type.ts';

/** The observed instances of a module. */
export interface Observed {
  /** The one that has its name. */
  readonly instance: Instance | undefined;
  /** The old instance of an update while it is parked. */
  readonly parked: Instance | undefined;
  /** The new one while it is parked, because the update is rolled back. */
  readonly bad?: Instance | undefined;
}

/** Desired state of a module that has an instance. */
export interface Present {
  readonly spec: InstanceSpec;
  /** Undefined when something has to be pulled before an instance is created. */
  readonly resolved: ResolvedSpec | undefined;
  /**
   * `stopped`: is not running. `running`: is started whenever it is not. `ended`: has ended by itself,
   * and its restart policy leaves it so.
   */
  readonly run: 'stopped' | 'running' | 'ended';
}

/** Desired state of a module. */
export type Desired =
  | { readonly kind: 'absent' }
  | ({ readonly kind: 'present' } & Present)
  | ({
      /** `spec` is the next one, whose instance is to be created soon. */
      readonly kind: 'fetch';
      /** The specification of the present instance if it is to run meanwhile. */
      readonly previous: InstanceSpec | undefined;
      /** Whether what the present instance needs is kept. */
      readonly isKept: boolean;
    } & Omit<Present, 'run'>)
  | ({ readonly kind: 'trial'; readonly oldId: string | undefined } & Present)
  /** The new instance has proved good. */
  | { readonly kind: 'good' }
  | {
      readonly kind: 'rollback';
      readonly oldId: string | undefined;
      readonly badId: string | undefined;
    }
  | { readonly kind: 'done' | 'abandon' };

/**
 * One step. `pull`, `create` and `start` act on the desired instance, those with an id on an observed one: by the time
 * of the step, its name may be that of another instance. `try`, `accept`, `reject`, `abandon` and `end` change only the persisted
 * state.
 */
export type Step =
  | { readonly kind: 'pull' | 'start'; readonly spec: InstanceSpec }
  | { readonly kind: 'create'; readonly spec: ResolvedSpec }
  | {
      readonly kind: 'stop' | 'remove' | 'unpause' | 'keep' | 'park' | 'unpark' | 'reject';
      readonly id: string;
    }
  | { readonly kind: 'try'; readonly oldId: string | undefined }
  | { readonly kind: 'accept' | 'abandon' | 'end' };

/**
 * The steps from the observed instances to the desired state, none when nothing is to be done. What follows a pull, or a
 * change of the persisted state, is planned when it is complete. An instance of others is never changed: ours cannot be
 * created beside it. A parked instance never runs.
 */
export function plan({ instance, parked, bad }: Observed, desired: Desired): readonly Step[] {
  const own = instance?.ours === true ? instance : undefined;
  for (const other of [parked, bad]) {
    if (other !== undefined && isLive(other)) return discard(other).slice(0, 1);
  }
  const removed = [...discard(parked), ...discard(bad)];
  switch (desired.kind) {
    case 'absent':
      return [...discard(own), ...removed];
    case 'present':
      return present(own, desired);
    case 'fetch':
      return fetched(own, desired);
    case 'trial':
      return tried(own, desired);
    case 'good':
      return [{ kind: 'accept' }];
    case 'rollback':
      return [...restored({ instance: own, parked, bad }, desired), { kind: 'abandon' }];
    case 'done':
    case 'abandon':
      return [...removed, { kind: 'end' }];
  }
}

function present(own: Instance | undefined, { spec, resolved, run }: Present): readonly Step[] {
  const start: readonly Step[] = run === 'running' ? [{ kind: 'start', spec }] : [];
  if (own !== undefined && isUpToDate(own, spec)) {
    if (!isLive(own)) return start;
    if (run === 'stopped') return [{ kind: 'stop', id: own.id }];
    return own.state.kind === 'paused' && run === 'running'
      ? [{ kind: 'unpause', id: own.id }]
      : [];
  }
  if (resolved === undefined) return [{ kind: 'pull', spec }];
  return [...discard(own), { kind: 'create', spec: resolved }, ...start];
}

/** Keeps the present instance running while the next one is prepared. */
function fetched(
  own: Instance | undefined,
  { spec, resolved, previous, isKept }: Desired & { readonly kind: 'fetch' },
): readonly Step[] {
  const old = own !== undefined && !isBroken(own) ? own : undefined;
  if (previous !== undefined && old?.digest === previous.digest && !isLive(old)) {
    return [{ kind: 'start', spec: previous }];
  }
  if (old !== undefined && !isKept) return [{ kind: 'keep', id: old.id }];
  return [resolved === undefined ? { kind: 'pull', spec } : { kind: 'try', oldId: old?.id }];
}

/** Parks the old instance: at no time may it run beside the new one. */
function tried(
  own: Instance | undefined,
  { oldId, ...desired }: Desired & { readonly kind: 'trial' },
): readonly Step[] {
  if (own === undefined || own.id !== oldId || isBroken(own)) return present(own, desired);
  const { id } = own;
  const park: Step = { kind: 'park', id };
  return isLive(own) ? [{ kind: 'stop', id }, park] : [park];
}

/** Parks the new instance; then the old one, unless it is lost, has its name again. */
function restored(
  { instance, parked, bad }: Observed,
  { oldId, badId }: Desired & { readonly kind: 'rollback' },
): readonly Step[] {
  const back: readonly Step[] = parked === undefined ? [] : [{ kind: 'unpark', id: parked.id }];
  if (instance === undefined || instance.id === oldId) return back;
  const { id } = instance;
  const stop: readonly Step[] = isLive(instance) ? [{ kind: 'stop', id }] : [];
  // one that is parked is known by its id: there is one
  const reject: readonly Step[] = id === badId ? [] : [...discard(bad), { kind: 'reject', id }];
  return [...stop, ...reject, { kind: 'park', id }, ...back];
}

function discard(instance: Instance | undefined): readonly Step[] {
  if (instance === undefined) return [];
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

/** Whether it is an instance of the specification that can be started: nothing has to be pulled for it. */
export function isUpToDate(instance: Instance, { digest }: Pick<InstanceSpec, 'digest'>): boolean {
  return instance.digest === digest && !isBroken(instance);
}

/** Whether it can only be removed. */
export function isBroken({ state }: Instance): boolean {
  return state.kind === 'dead' || state.kind === 'removing';
}
