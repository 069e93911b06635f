import { isToRun } from '../../../../src/modules/supervisor/desired-state.ts';
import { isSoak } from '../../property.ts';
import { type Container, type World } from './world.ts';

/** Containers of which those that were left differ only by what matters. */
function plainOf(
  containers: readonly Container[],
  former: readonly string[],
): readonly Container[] {
  return containers.map((one) => {
    const isPlain = former.includes(one.id) && one.kind !== 'running' && !isSoak;
    return isPlain ? { ...one, digest: 'a:1', kind: 'exited' } : one;
  });
}

/** A text that is equal for worlds that have the same canonical one. */
export function keyOf({ source, state, containers, isKept, isPulled, isDelayed }: World): string {
  const { former = [], goal, operation, update } = state;
  const { other, proven, phase, previous, oldId, badId } = { ...update };
  const list = plainOf(containers, former)
    .map(({ id, name, digest, kind }) =>
      [name, digest, kind, id === oldId, id === badId, former.includes(id)].join(),
    )
    .toSorted();
  const images = [source, other, proven].map((one) => one?.settings.image);
  const isOldKnown = oldId !== undefined;
  const returns = previous !== undefined && isToRun(previous);
  const fetched = phase === 'fetch' && [isKept, isPulled].join();
  const record = [goal, operation?.verb, phase, returns, isOldKnown, fetched, isDelayed];
  return [...record, ...images, ...list].join();
}

/** The same world with ids that depend only on itself. */
export function canonical(world: World): World {
  const { former = [], update } = world.state;
  const { oldId, badId } = { ...update };
  const order = ({ id, name, digest, kind }: Container) =>
    [id !== oldId, id !== badId, former.includes(id), name, digest, kind].join();
  const sorted = plainOf(world.containers, former).toSorted((a, b) =>
    order(a) < order(b) ? -1 : 1,
  );
  const ids = new Map(sorted.map(({ id }, index) => [id, `c${index}`]));
  const old = oldId === undefined ? undefined : (ids.get(oldId) ?? 'lost');
  const left = former.flatMap((id) => ids.get(id) ?? []);
  return {
    ...world,
    ...(update?.phase !== 'fetch' && { isKept: false, isPulled: false }),
    state: {
      ...world.state,
      // one that is gone is only dropped from the record
      former: left.length === 0 ? undefined : left,
      update: update && {
        ...update,
        oldId: old,
        badId: badId === undefined ? undefined : ids.get(badId),
        previous: isToRun(update.previous) ? 'start' : 'stopped',
      },
    },
    containers: sorted.map((one, index) => ({ ...one, id: `c${index}` })),
  };
}
