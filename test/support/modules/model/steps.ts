import * as assert from 'uvu/assert';
import {
  isAbsence,
  isToRun,
  needsInstance,
} from '../../../../src/modules/supervisor/desired-state.ts';
import type { Step } from '../../../../src/modules/supervisor/plan.ts';
import { rejected } from '../../../../src/modules/supervisor/update/roll-back.ts';
import { abandoned, ended, kept, tried } from '../../../../src/modules/supervisor/update/update.ts';
import { type Container, changed, named, type World, without } from './world.ts';

/** Applies a step, and checks that it harms nothing. */
export function applied(world: World, step: Step): World {
  const { containers, state } = world;
  switch (step.kind) {
    case 'pull':
      return { ...world, isPulled: true };
    case 'keep':
      return { ...world, isKept: true };
    case 'create': {
      assert.is(named(world), undefined, 'the name is free');
      const digest = world.source.settings.image;
      const id = `new${containers.length}`;
      return { ...world, containers: [...containers, { id, name: 'm', digest, kind: 'created' }] };
    }
    case 'start': {
      const others = containers.filter(({ name, kind }) => name !== 'm' && kind === 'running');
      assert.equal(others, [], 'no other instance runs');
      const own = named(world);
      assert.is(own?.digest, step.spec.digest);
      const next = changed(world, own?.id ?? '', { kind: 'running' });
      return state.goal === 'start' ? { ...next, state: { ...state, goal: 'started' } } : next;
    }
    case 'stop':
      return changed(world, step.id, { kind: 'exited' });
    case 'remove': {
      const gone = containers.find(({ id }) => id === step.id);
      const isNeeded = state.update?.oldId === step.id && state.update.phase !== 'done';
      const isLost = isNeeded && !isAbsence(state.goal) && gone?.kind !== 'dead';
      assert.not(isLost, 'the old instance is not removed');
      assert.not(state.update?.phase === 'fetch' && !isAbsence(state.goal), 'nothing is removed');
      checkRemoval(world, gone);
      return without(world, step.id);
    }
    case 'park':
      return changed(world, step.id, { name: 'parked' });
    case 'unpark':
      assert.is(named(world), undefined, 'the name is free');
      return changed(world, step.id, { name: 'm' });
    case 'try':
      return { ...world, ...tried(world, step.oldId) };
    case 'accept':
      assert.is(named(world)?.digest, world.source.settings.image, 'the instance of the update');
      return { ...world, ...kept(world) };
    case 'reject':
      return { ...world, ...rejected(world, step.id) };
    case 'abandon':
      return { ...world, ...abandoned(world) };
    case 'end':
      checkRestored(world);
      return { ...world, ...ended(world), isKept: false, isPulled: false, isDelayed: false };
    default:
      throw new Error(`no step ${step.kind} is expected`);
  }
}

/** Checks that the old instance runs again before the bad one, which may not be removable, is removed. */
function checkRemoval(world: World, gone: Container | undefined): void {
  const { goal, update } = world.state;
  if (gone === undefined || gone.id !== update?.badId || gone.name === 'm') return;
  const own = named(world);
  // unless another client has given its name to a third one
  const isThird = own !== undefined && own.id !== update.oldId;
  if (update.phase === 'rollback' && !isAbsence(goal)) assert.ok(isThird, 'the old one is first');
  if (update.phase === 'abandon') checkRestored(world);
  if (update.phase === 'abandon' && isToRun(goal)) assert.is(own?.kind, 'running');
}

/** Checks that nothing is created any more after a roll-back: its image is kept no longer. */
function checkRestored(world: World): void {
  const { goal, update } = world.state;
  if (update?.phase !== 'abandon' || !needsInstance(goal)) return;
  const own = named(world);
  assert.ok(own !== undefined && own.kind !== 'dead', 'the old instance is back');
}
