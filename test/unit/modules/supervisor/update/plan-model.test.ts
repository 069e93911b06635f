/**
 * Every state that a module and its containers can reach, with the steps that are planned and everything that may happen
 * between two of them: a crash of the service, a restart of the engine, a failed step, changes by other clients, and calls.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ModuleSource } from '../../../../../src/modules/module-source.ts';
import type {
  Configured,
  SavedState,
} from '../../../../../src/modules/supervisor/desired-state.ts';
import {
  isAbsence,
  isToRun,
  needsInstance,
} from '../../../../../src/modules/supervisor/desired-state.ts';
import type {
  Instance,
  InstanceSpec,
  InstanceState,
} from '../../../../../src/modules/supervisor/module-type.ts';
import {
  isLive,
  type Observed,
  plan,
  type Step,
} from '../../../../../src/modules/supervisor/plan.ts';
import { isCleanUp } from '../../../../../src/modules/supervisor/update/clean-up.ts';
import {
  desiredAtOnce,
  desiredWith,
  mayCleanUp,
} from '../../../../../src/modules/supervisor/update/desired.ts';
import { otherLive } from '../../../../../src/modules/supervisor/update/former.ts';
import { rejected } from '../../../../../src/modules/supervisor/update/roll-back.ts';
import {
  abandoned,
  accepted,
  ended,
  isNew,
  kept,
  tried,
  undone,
  withoutFormer,
} from '../../../../../src/modules/supervisor/update/update.ts';
import { moduleSource } from '../../../../support/engine/module-source.ts';

const test = suite('steps of a module in every state');
/** With it, what earlier updates have left is in every state, too, and every update may follow. */
const isSoak = (process.env['IOTEDGE_TEST_SOAK'] ?? '') !== '';
const at = new Date(0);
const end = { exitCode: 1, startedAt: at, finishedAt: at };
const states = {
  created: { kind: 'created' },
  running: { kind: 'running', startedAt: at },
  exited: { kind: 'exited', ...end },
  dead: { kind: 'dead' },
} as const satisfies Partial<Record<InstanceState['kind'], InstanceState>>;
type Kind = keyof typeof states;
const sources = [moduleSource('m', 'a:1'), moduleSource('m', 'a:2')] as const;

interface Container {
  readonly id: string;
  readonly name: string;
  readonly digest: string;
  readonly kind: Kind;
}

/** What is persisted, what the engine has, and what the process knows. */
interface World extends Configured {
  readonly containers: readonly Container[];
  readonly isKept: boolean;
  readonly isPulled: boolean;
  /** Whether the clean-up of the update has failed and is not due yet. */
  readonly isDelayed: boolean;
}

const missing = () => Promise.reject(new Error('not called'));
const specOf = (digest: string): InstanceSpec => ({
  digest,
  resolve: missing,
  pull: missing,
  start: missing,
});
const resolved = { create: missing };

const instanceOf = ({ id, digest, kind }: Container): Instance => ({
  id,
  ours: true,
  digest,
  state: states[kind],
  restartCount: 0,
  autoRestarts: false,
  unhealthy: false,
});

/** The observed containers, with those that earlier updates have left. */
interface Seen extends Observed {
  readonly former: { readonly found: readonly Instance[] };
}

/** The world after the observation, which gives a renamed container its name back, and what it finds. */
function observe(world: World): { readonly world: World; readonly observed: Seen } {
  const { former = [], update } = world.state;
  const { oldId, badId } = { ...update };
  const isParked = ({ id, name }: Container) => (id === oldId || id === badId) && name !== 'm';
  const isFormer = (one: Container) =>
    former.includes(one.id) && one.name !== 'm' && !isParked(one);
  const named = world.containers.some(({ name }) => name === 'm');
  const renamed = world.containers.filter(
    (one) => one.name !== 'm' && !isParked(one) && !isFormer(one),
  );
  const back = !named && renamed.length === 1 ? renamed[0]?.id : undefined;
  const containers = world.containers.map((one) => (one.id === back ? { ...one, name: 'm' } : one));
  const instance = containers.find(({ name }) => name === 'm');
  const parked = containers.find((one) => isParked(one) && one.id === oldId);
  const bad = containers.find((one) => isParked(one) && one.id === badId);
  return {
    world: { ...world, containers },
    observed: {
      instance: instance && instanceOf(instance),
      parked: parked && instanceOf(parked),
      bad: bad && instanceOf(bad),
      former: { found: containers.filter(isFormer).map(instanceOf) },
    },
  };
}

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

function changed(world: World, id: string, changes: Partial<Container>): World {
  const containers = world.containers.map((one) => (one.id === id ? { ...one, ...changes } : one));
  return { ...world, containers };
}

const without = (world: World, id: string): World => ({
  ...world,
  containers: world.containers.filter((one) => one.id !== id),
});

const named = ({ containers }: World): Container | undefined =>
  containers.find(({ name }) => name === 'm');

/** Applies a step, and checks that it harms nothing. */
function applied(world: World, step: Step): World {
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
function next(before: World, verdict: 'good' | 'bad' | 'pending'): World | undefined {
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
function* events(world: World): Generator<World> {
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
function keyOf({ source, state, containers, isKept, isPulled, isDelayed }: World): string {
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
function canonical(world: World): World {
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

const start: World = {
  source: sources[0],
  state: { goal: 'started' } satisfies SavedState,
  containers: [{ id: 'c0', name: 'm', digest: 'a:1', kind: 'running' }],
  isKept: false,
  isPulled: false,
  isDelayed: false,
};

/** Checks the state in which everything ends. */
function checkEnd(world: World, from: string): void {
  const { containers, source, state } = world;
  const { goal, update } = state;
  const own = named(world);
  if (!needsInstance(goal)) return assert.equal(containers, [], from);
  const isUnproven = update?.phase === 'trial' && !isToRun(goal);
  assert.ok(update === undefined || isUnproven, `an update that has not ended, from ${from}`);
  assert.is(state.former, undefined, from);
  const others = containers.filter((one) => one !== own && one.id !== update?.oldId);
  assert.equal(
    others.filter(({ name }) => name !== 'x'),
    [],
    from,
  );
  assert.is(own?.digest, source.settings.image, from);
  assert.is(own?.kind === 'running', isToRun(goal), from);
}

/** The configuration in which a running module ends. */
function endOf({ source, state }: World, verdict: Verdict): ModuleSource {
  const { other, phase, proven } = { ...state.update };
  const isGood = verdict === 'good';
  if (phase === 'fetch') return (isGood ? other : proven) ?? source;
  return (phase === 'trial' && !isGood ? other : undefined) ?? source;
}

type Verdict = 'good' | 'bad';

/** A state, and those that follow it with each verdict, undefined for its end. */
interface Node {
  readonly world: World;
  readonly good: string | undefined;
  readonly bad: string | undefined;
}

/** Every state that can be reached. */
function explore() {
  const nodes = new Map<string, Node>();
  const found = new Set<string>();
  const open: World[] = [];
  let transitions = 0;
  const add = (world: World): string => {
    const key = keyOf(world);
    transitions++;
    if (!found.has(key)) open.push(canonical(world));
    found.add(key);
    return key;
  };
  add(start);
  for (let world = open.pop(); world !== undefined; world = open.pop()) {
    const [good, bad, pending] = (['good', 'bad', 'pending'] as const).map((verdict) =>
      next(world, verdict),
    );
    nodes.set(keyOf(world), { world, good: good && add(good), bad: bad && add(bad) });
    if (pending !== undefined) add(pending);
    for (const after of events(world)) add(after);
  }
  return { nodes, transitions };
}

/** Checks that every state leads to its end with a verdict. */
function checkEnds(nodes: ReadonlyMap<string, Node>, verdict: Verdict): void {
  const ends = new Map<string, World>();
  for (const from of nodes.keys()) {
    const path: string[] = [];
    let key: string | undefined = from;
    while (key !== undefined && !ends.has(key)) {
      assert.not(path.length > 60, `no end from ${from}`);
      path.push(key);
      key = nodes.get(key)?.[verdict];
    }
    const last = path.at(-1);
    const world = key === undefined ? nodes.get(last ?? '')?.world : ends.get(key);
    if (world === undefined) throw new Error(`an unknown state after ${from}`);
    checkEnd(observe(world).world, from);
    for (const one of path) ends.set(one, world);
    const { world: first } = nodes.get(from) ?? { world };
    if (isToRun(first.state.goal)) assert.is(world.source, endOf(first, verdict), from);
  }
}

test('lead to an end as demanded, never run two instances, and never lose a parked one', () => {
  const { nodes, transitions } = explore();
  checkEnds(nodes, 'good');
  checkEnds(nodes, 'bad');
  console.log(`${nodes.size} states, ${transitions} transitions`);
});

test.run();
