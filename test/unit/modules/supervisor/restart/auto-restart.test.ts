/** A supervisor with an engine that fails on purpose: which steps are retried, and which are not. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import {
  ContainerSpec,
  type ContainerSpecOptions,
} from '../../../../../src/modules/docker/container-spec.ts';
import { DockerModules } from '../../../../../src/modules/docker/docker-modules.ts';
import type { ContainerEngine } from '../../../../../src/modules/docker/engine/container-engine.ts';
import type { Instance } from '../../../../../src/modules/supervisor/module-type.ts';
import { disarmOrphans } from '../../../../../src/modules/supervisor/restart/auto-restart.ts';
import { Supervisor } from '../../../../../src/modules/supervisor/supervisor.ts';
import { until } from '../../../../support/deadline.ts';
import { moduleSource } from '../../../../support/engine/module-source.ts';
import { silentLog } from '../../../../support/log.ts';
import { via } from '../../../../support/via.ts';

const test = suite('supervisor of a module');
const longMs = 20_000;
const now = new Date(0);
const reached = { name: 'docker', version: '', reachable: true, steady: true, error: '' };
const failure = new ServiceError('Unavailable', 'busy');

function containerOf(changes: Partial<Instance> = {}): Instance {
  return {
    id: 'c1',
    ours: true,
    digest: 'abc',
    state: { kind: 'running', startedAt: now },
    restartCount: 0,
    autoRestarts: true,
    unhealthy: false,
    ...changes,
  };
}

function missing(): Promise<never> {
  return Promise.reject(new Error('not called'));
}

/** An engine with one container, whose restart policy is removed by the given function. */
function engineWith(
  container: Instance,
  removeRestartPolicy: ContainerEngine['removeRestartPolicy'],
) {
  const removals: string[] = [];
  const engine: ContainerEngine = {
    version: missing,
    system: missing,
    findImage: () => Promise.resolve({ id: 'sha256:1', digests: [] }),
    pull: missing,
    tagImageOf: missing,
    untag: missing,
    tagsIn: () => Promise.resolve([]),
    findParked: () => Promise.resolve(undefined),
    ensureNetwork: missing,
    findVolume: missing,
    createVolume: missing,
    list: () => Promise.resolve(['a', 'b']),
    inspect: () => Promise.resolve(container),
    findRenamed: missing,
    rename: missing,
    create: missing,
    start: missing,
    stop: missing,
    remove: missing,
    unpause: missing,
    removeRestartPolicy: (id, signal) => {
      removals.push(id);
      return removeRestartPolicy(id, signal);
    },
    log: missing,
    listen: missing,
    ping: missing,
    appeared: missing,
  };
  return { engine, removals };
}

function specFor(engine: ContainerEngine, more: Partial<ContainerSpecOptions> = {}): ContainerSpec {
  return new ContainerSpec({
    engine,
    digest: 'abc',
    image: { image: 'a', auth: undefined },
    body: {},
    network: { name: 'edge' },
    check: () => Promise.resolve(),
    ...more,
  });
}

/** Supervises a module until disposed of. */
function supervised(
  engine: ContainerEngine,
  {
    prepare = () => Promise.resolve(specFor(engine)),
    clock = () => now,
  }: { readonly prepare?: () => Promise<ContainerSpec>; readonly clock?: () => Date } = {},
) {
  const stop = new AbortController();
  const warnings: string[] = [];
  let inspections = 0;
  const supervisor = new Supervisor({
    name: 'sensor',
    source: moduleSource('sensor'),
    saved: { goal: 'started' },
    restartPolicy: 'always',
    type: new DockerModules(
      {
        ...engine,
        inspect: (name, signal) => {
          inspections++;
          return engine.inspect(name, signal);
        },
      },
      silentLog,
    ),
    engineStatus: () => ({ ...reached, reachedAt: now }),
    prepare,
    save: () => Promise.resolve(),
    eraseIdentity: () => Promise.resolve(),
    remove: () => Promise.resolve(),
    onStatus: () => {},
    now: clock,
    log: { ...silentLog, warn: (message) => warnings.push(message) },
  });
  const running = supervisor.run(stop.signal);
  return {
    supervisor,
    warnings,
    inspections: () => inspections,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

const about = (warnings: readonly string[]) =>
  warnings.filter((text) => text === 'restart policy not removed').length;

for (const [when, prepare] of [
  ['no other step is pending', undefined],
  ['there is no identity', () => Promise.reject(failure)],
] as const) {
  test(`retries to remove a restart policy when ${when}, and warns once`, async () => {
    let failures = 2;
    const { engine, removals } = engineWith(containerOf(), () =>
      failures-- > 0 ? Promise.reject(failure) : Promise.resolve(),
    );
    await using module = supervised(engine, prepare && { prepare });
    for (let attempt = 1; attempt <= 3; attempt++) {
      await until(longMs, `attempt ${attempt}`, () => removals.length === attempt);
      module.supervisor.wake();
    }
    const seen = module.inspections();
    module.supervisor.wake();
    await until(longMs, 'an inspection', () => module.inspections() > seen);
    await until(longMs, 'an inspection', () => module.supervisor.status.known);
    assert.equal(removals, ['c1', 'c1', 'c1']);
    assert.is(about(module.warnings), 1);
  });
}

test('removes a restart policy again that was restored before the next inspection', async () => {
  const { engine, removals } = engineWith(containerOf(), () => Promise.resolve());
  let ms = 0;
  await using module = supervised(engine, { clock: () => new Date((ms += 20_000)) });
  await until(longMs, 'the attempt', () => removals.length === 1);
  module.supervisor.wake(); // for the event of the update; what follows needs no other
  await until(longMs, 'another attempt', () => removals.length >= 2);
  assert.is(about(module.warnings), 0);
});

test('removes a restart policy at most once a minute', async () => {
  const { engine, removals } = engineWith(containerOf(), () => Promise.resolve());
  let ms = 0;
  await using module = supervised(engine, { clock: () => new Date(ms) });
  await until(longMs, 'the attempt', () => removals.length === 1);
  for (const [time, attempts] of [
    [59_999, 1],
    [60_000, 2],
  ] as const) {
    ms = time;
    const seen = module.inspections();
    module.supervisor.wake();
    await until(longMs, 'two inspections', () => {
      module.supervisor.wake();
      return module.inspections() > seen + 1;
    });
    assert.is(removals.length, attempts, `after ${time} ms`);
  }
});

test('removes a restart policy even if a request interrupts it', async () => {
  let interrupted = false;
  const { engine, removals } = engineWith(containerOf(), (_id, signal) => {
    if (removals.length > 1) return Promise.resolve();
    return new Promise<void>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        interrupted = true;
        reject(new ServiceError('Cancelled', 'aborted'));
      });
    });
  });
  await using module = supervised(engine);
  await until(longMs, 'the attempt', () => removals.length === 1);
  const { requestId } = via;
  const started = { isCreation: false, requestId, isPatient: () => false, isUndone: () => true };
  await module.supervisor.desired.accept('start', { verb: 'Start' });
  void module.supervisor.reach(started, via.signal);
  await until(longMs, 'another attempt', () => removals.length === 2);
  assert.ok(interrupted);
  assert.is(about(module.warnings), 0);
});

test('waits for a delay, not for events, while a restart policy cannot be removed', async () => {
  const { engine, removals } = engineWith(containerOf(), () => Promise.reject(failure));
  let ms = 0;
  await using module = supervised(engine, { clock: () => new Date((ms += 60_000)) });
  await until(longMs, 'the next attempt', () => removals.length >= 2);
  assert.is(about(module.warnings), 1);
});

for (const [imageDigest, made] of [
  [undefined, 'a'],
  ['sha256:1', 'sha256:1'],
] as const) {
  test(`creates a container from ${made} when the digest is ${imageDigest}`, async () => {
    const bodies: unknown[] = [];
    const { engine } = engineWith(containerOf(), missing);
    const creating: ContainerEngine = {
      ...engine,
      inspect: () => Promise.resolve(undefined),
      findRenamed: () => Promise.resolve(undefined),
      ensureNetwork: () => Promise.resolve(),
      create: (_name, body) => {
        bodies.push(body);
        return missing();
      },
    };
    const image = { image: 'a', auth: undefined, imageDigest };
    const spec = specFor(creating, { image, body: { Image: 'a', Cmd: ['b'] } });
    await using _module = supervised(creating, { prepare: () => Promise.resolve(spec) });
    await until(longMs, 'the container', () => bodies.length > 0);
    assert.equal(bodies[0], { Image: made, Cmd: ['b'] });
  });
}

test('does not remove the restart policy of a container of a module, or of one that is not ours', async () => {
  const removalsWith = async (
    changes: Partial<Instance>,
    isKnown: (name: string) => boolean = () => false,
  ) => {
    const { engine, removals } = engineWith(containerOf(changes), () => Promise.resolve());
    await disarmOrphans(
      { type: new DockerModules(engine, silentLog), isKnown, log: silentLog },
      via.signal,
    );
    return removals.length;
  };
  assert.is(await removalsWith({}), 2);
  assert.is(await removalsWith({}, (name) => name === 'a'), 1);
  assert.is(await removalsWith({ ours: false }), 0);
  assert.is(await removalsWith({ autoRestarts: false }), 0);
});

test('removes the restart policy of every orphaned container, whatever fails', async () => {
  const { engine, removals } = engineWith(containerOf(), () =>
    removals.length === 1 ? Promise.reject(failure) : Promise.resolve(),
  );
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (message: string) => warnings.push(message) };
  const parts = { type: new DockerModules(engine, log), isKnown: () => false, log };
  await disarmOrphans(parts, new AbortController().signal);
  assert.is(removals.length, 2);
  assert.is(warnings.length, 2);
});

test.run();
