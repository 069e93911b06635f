/** A module and its containers as a model: what is persisted, what the engine has, and what is observed of it. */
import type { Configured } from '../../../../src/modules/supervisor/desired-state.ts';
import type {
  Instance,
  InstanceSpec,
  InstanceState,
} from '../../../../src/modules/supervisor/module-type.ts';
import type { Observed } from '../../../../src/modules/supervisor/plan.ts';
import { moduleSource } from '../../engine/module-source.ts';

const at = new Date(0);
const end = { exitCode: 1, startedAt: at, finishedAt: at };
const states = {
  created: { kind: 'created' },
  running: { kind: 'running', startedAt: at },
  exited: { kind: 'exited', ...end },
  dead: { kind: 'dead' },
} as const satisfies Partial<Record<InstanceState['kind'], InstanceState>>;
type Kind = keyof typeof states;
/** The configurations between which a module is updated. */
export const sources = [moduleSource('m', 'a:1'), moduleSource('m', 'a:2')] as const;

/** A container of the module; its digest is that of its specification. */
export interface Container {
  readonly id: string;
  readonly name: string;
  readonly digest: string;
  readonly kind: Kind;
}

/** What is persisted, what the engine has, and what the process knows. */
export interface World extends Configured {
  readonly containers: readonly Container[];
  readonly isKept: boolean;
  readonly isPulled: boolean;
  /** Whether the clean-up of the update has failed and is not due yet. */
  readonly isDelayed: boolean;
}

const missing = () => Promise.reject(new Error('not called'));
/** The specification of that digest. */
export const specOf = (digest: string): InstanceSpec => ({
  digest,
  resolve: missing,
  pull: missing,
  start: missing,
});
/** What a specification is resolved to. */
export const resolved = { create: missing };

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
export interface Seen extends Observed {
  readonly former: { readonly found: readonly Instance[] };
}

/** The world after the observation, which gives a renamed container its name back, and what it finds. */
export function observe(world: World): { readonly world: World; readonly observed: Seen } {
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

/** The world with another container of that id. */
export function changed(world: World, id: string, changes: Partial<Container>): World {
  const containers = world.containers.map((one) => (one.id === id ? { ...one, ...changes } : one));
  return { ...world, containers };
}

/** The world without the container of that id. */
export const without = (world: World, id: string): World => ({
  ...world,
  containers: world.containers.filter((one) => one.id !== id),
});

/** The container that has the module's name. */
export const named = ({ containers }: World): Container | undefined =>
  containers.find(({ name }) => name === 'm');
