import { isAbsence } from '../../../../src/modules/supervisor/desired-state.ts';
import { isLive, plan } from '../../../../src/modules/supervisor/plan.ts';
import { isCleanUp } from '../../../../src/modules/supervisor/update/clean-up.ts';
import { desiredAtOnce, mayCleanUp } from '../../../../src/modules/supervisor/update/desired.ts';
import { accepted, undone } from '../../../../src/modules/supervisor/update/update.ts';
import { isSoak } from '../../property.ts';
import { applied } from './steps.ts';
import { type Container, changed, observe, sources, type World, without } from './world.ts';

/** What other clients may do to a container. */
function* foreign(world: World, one: Container): Generator<World> {
  const { containers, state } = world;
  const { id, kind, name } = one;
  const isFormer = state.former?.includes(id) === true;
  if (state.former !== undefined && !isFormer && !isSoak) return;
  yield without(world, id);
  if (kind === 'created' || kind === 'exited') yield changed(world, id, { kind: 'running' });
  if (state.former !== undefined) {
    // of its own states, it is enough that it runs: each of the others is removed
    const isFree = containers.every((other) => other.name !== 'm' && other.name !== 'x');
    if (isFormer) {
      if (isFree && isSoak) yield changed(world, id, { name: 'm' });
      return;
    }
  }
  if (kind === 'running') yield changed(world, id, { kind: 'exited' });
  if (state.former !== undefined) return;
  yield changed(world, id, { kind: 'dead' });
  if (name === 'm' && containers.length < 3) yield changed(world, id, { name: 'x' });
  if (id === state.update?.badId && containers.length === 1)
    yield changed(world, id, { name: 'm' });
}

/** Everything that may happen instead of the next step. */
export function* events(world: World): Generator<World> {
  const { containers, state } = world;
  // that it is stopped first is all that matters
  if (observe(world).observed.former.found.some(isLive)) return;
  yield { ...world, isKept: false, isPulled: false, isDelayed: false };
  const kind = 'exited';
  yield {
    ...world,
    containers: containers.map((one) => (one.kind === 'running' ? { ...one, kind } : one)),
  };
  for (const one of containers) yield* foreign(world, one);
  const found = observe(world);
  const atOnce = desiredAtOnce(state, false);
  const [known] = atOnce === undefined ? [] : plan(found.observed, atOnce);
  const isLeft = isCleanUp(known, state);
  // a failed clean-up
  if (isLeft) yield { ...world, isDelayed: true };
  // while Identity is away, only what needs no specification is done
  const isKnown = known !== undefined && (!isLeft || mayCleanUp(found.observed, state));
  if (isKnown && known.kind !== 'unpark') yield applied(found.world, known);
  // a failed step, or Cancel
  if (state.update !== undefined) yield { ...world, ...undone(world, undefined) };
  if (isAbsence(state.goal)) return;
  if (state.operation !== undefined) {
    // of a call that waits only until the new instance runs
    if (state.update?.phase === 'trial')
      yield { ...world, state: { ...state, operation: undefined } };
    return;
  }
  if (state.former !== undefined && !isSoak) return;
  for (const goal of ['start', 'stopped', 'restart', 'absent'] as const) {
    const previous = isAbsence(goal) ? state.update?.previous : goal;
    const update = state.update && { ...state.update, previous: previous ?? goal };
    const { former } = state;
    yield { ...world, state: { goal, update, ...(former && { former }) } };
  }
  for (const other of sources) {
    const { phase } = { ...state.update };
    if (phase === 'fetch' || phase === 'rollback') continue;
    // it depends on nothing else whether the clean-up has failed, and more than one former are no other states
    if (phase !== undefined && phase !== 'trial' && !world.isDelayed) continue;
    if (state.former !== undefined && (phase === 'done' || !isSoak)) continue;
    const digest = other.settings.image;
    yield { ...world, ...accepted(world, { other, digest }), isKept: false, isPulled: false };
  }
}
