/**
 * Every state that a module and its containers can reach, with the steps that are planned and everything that may happen
 * between two of them: a crash of the service, a restart of the engine, a failed step, changes by other clients, and calls.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ModuleSource } from '../../../../../src/modules/module-source.ts';
import {
  isToRun,
  needsInstance,
  type SavedState,
} from '../../../../../src/modules/supervisor/desired-state.ts';
import { canonical, keyOf } from '../../../../support/modules/model/canonical.ts';
import { events } from '../../../../support/modules/model/events.ts';
import { next } from '../../../../support/modules/model/next.ts';
import { named, observe, sources, type World } from '../../../../support/modules/model/world.ts';

const test = suite('steps of a module in every state');

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
