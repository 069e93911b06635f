import * as assert from 'uvu/assert';
import { isAbsence, isToRun } from '../../../../src/modules/supervisor/desired-state.ts';
import type { Instance } from '../../../../src/modules/supervisor/module-type.ts';
import { isLive, type Observed, plan, type Step } from '../../../../src/modules/supervisor/plan.ts';
import { isCleanUp } from '../../../../src/modules/supervisor/update/clean-up.ts';
import {
  desiredAtOnce,
  desiredWith,
  mayCleanUp,
} from '../../../../src/modules/supervisor/update/desired.ts';
import { otherLive } from '../../../../src/modules/supervisor/update/former.ts';
import { isNew, undone, withoutFormer } from '../../../../src/modules/supervisor/update/update.ts';
import { applied } from './steps.ts';
import {
  changed,
  named,
  observe,
  resolved,
  type Seen,
  specOf,
  type World,
  without,
} from './world.ts';

/** The new instance of an update that runs, whose verdict is due. */
function tryingOf({ source, state }: World, { instance }: Observed): Instance | undefined {
  const { goal, update } = state;
  if (instance === undefined || update?.phase !== 'trial' || !isToRun(goal)) return undefined;
  return isNew(instance, update, specOf(source.settings.image)) ? instance : undefined;
}

/** The next step, as the reconciler plans it. */
function stepOf(world: World, observed: Observed, isGood: boolean): Step | undefined {
  const { state, source } = world;
  const atOnce = desiredAtOnce(state, isGood);
  const first = atOnce && plan(observed, atOnce)[0];
  const isLast = world.isDelayed || !mayCleanUp(observed, state);
  if (atOnce !== undefined && !(isLast && isCleanUp(first, state))) return first;
  const { update } = state;
  if (update?.phase !== 'fetch') {
    const present = { spec: specOf(source.settings.image), resolved };
    const [step] = plan(observed, desiredWith(state, present));
    return step ?? (world.isDelayed ? undefined : first);
  }
  const isDown = observed.instance !== undefined && !isLive(observed.instance);
  return plan(observed, {
    kind: 'fetch',
    spec: specOf(update.other.settings.image),
    resolved: world.isPulled ? resolved : undefined,
    previous: isToRun(state.goal) && isDown ? specOf(source.settings.image) : undefined,
    isKept: world.isKept || update.proven !== undefined,
  })[0];
}

/** The removal of what earlier updates have left, undefined when nothing is. */
function cleared(world: World, { former }: Seen): World | undefined {
  const { former: ids = [], update } = world.state;
  const [first] = former.found;
  const gone = ids.filter((id) => former.found.every((one) => one.id !== id));
  if (gone.length > 0) return { ...world, ...withoutFormer(world, gone) };
  if (first === undefined) return undefined;
  assert.not(first.id === update?.oldId && !isAbsence(world.state.goal), 'not a parked one');
  assert.is.not(first.id, named(world)?.id, 'not that of the module');
  return without({ ...world, ...withoutFormer(world, [first.id]) }, first.id);
}

/** What the process does next: one step, or a verdict. */
export function next(before: World, verdict: 'good' | 'bad' | 'pending'): World | undefined {
  const { world, observed } = observe(before);
  const other = otherLive(observed);
  if (other !== undefined) return changed(world, other.id, { kind: 'exited' });
  const trying = tryingOf(world, observed);
  if (trying?.state.kind === 'running') {
    if (verdict === 'bad') return { ...world, ...undone(world, undefined) };
    if (verdict === 'pending') return undefined;
  }
  const { state } = world;
  const { instance } = observed;
  if (state.goal === 'restart' && (instance === undefined || !isLive(instance))) {
    return { ...world, state: { ...state, goal: 'start' } };
  }
  if ((state.goal === 'restart' || state.goal === 'stopped') && instance && isLive(instance)) {
    return applied(world, { kind: 'stop', id: instance.id });
  }
  const isGood = trying?.state.kind === 'running';
  const step = stepOf(world, observed, isGood);
  if (step !== undefined) return applied(world, step);
  if (world.isDelayed) return { ...world, isDelayed: false };
  const clear = cleared(world, observed);
  if (clear !== undefined) return clear;
  if (state.goal === 'start') return { ...world, state: { ...state, goal: 'started' } };
  // the operation ends
  return state.operation && { ...world, state: { ...state, operation: undefined } };
}
