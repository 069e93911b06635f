import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { parseModuleName } from '../../../../src/ids.ts';
import { Acceptance } from '../../../../src/modules/acceptance.ts';
import {
  type ModulesBackend,
  workloadBackend,
} from '../../../../src/modules/api/workload/workload-backend.ts';
import type { Clients } from '../../../../src/modules/clients.ts';
import type { ModulesConfig } from '../../../../src/modules/config/config.ts';
import { Identities } from '../../../../src/modules/identities.ts';
import type { ModuleSource } from '../../../../src/modules/module-source.ts';
import type { ModuleHistory } from '../../../../src/modules/registry/module-histories.ts';
import { ModuleRegistry } from '../../../../src/modules/registry/module-registry.ts';
import type {
  Instance,
  InstanceSpec,
  ModuleType,
} from '../../../../src/modules/supervisor/module-type.ts';
import { Repeats } from '../../../../src/service/log/repeats.ts';
import { until } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import { silentLog } from '../../../support/log.ts';
import { ownLimits } from '../../../support/workload/limits.ts';
import { callWithoutHold } from '../../../support/workload/no-hold.ts';

const test = suite<{ directory: string }>('module registry');
const longMs = 20_000;
const now = () => new Date(0);
const reached = {
  name: 'docker',
  version: '',
  reachable: true,
  steady: true,
  reachedAt: now(),
  error: '',
};
const instance: Instance = {
  id: 'c1',
  ours: true,
  digest: '',
  state: { kind: 'running', startedAt: now() },
  restartCount: 0,
  autoRestarts: false,
  unhealthy: false,
};

test.before(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-directory-'));
});

test.after(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

/** Parts of the registry that a test replaces. */
interface Replaced {
  readonly type?: Partial<ModuleType>;
  readonly prepare?: (source: ModuleSource) => Promise<InstanceSpec>;
  readonly save?: () => Promise<void>;
  /** Deletes the history of a module. */
  readonly forget?: (name: string) => void;
  readonly agent?: string;
  readonly history?: Partial<ModuleHistory>;
}

/** A registry of modules whose containers run, with the backend of the workload API. */
function registryIn(
  socketsPath: string,
  { agent, forget, history, prepare, save, type }: Replaced = {},
) {
  const paths = { management: '/run/mgmt.sock', workload: '/run/workload.sock' };
  const config = { connect: paths, serverNames: new Map() } as unknown as ModulesConfig; // the members that are used
  const clients = {} as Clients; // not called
  let backend: ModulesBackend | undefined;
  const modules = new ModuleRegistry({
    module: {
      type: { find: () => Promise.resolve(instance), ...type } as unknown as ModuleType, // no others are called
      engineStatus: () => reached,
      shownDigest: (digest) => digest,
      prepare: prepare ?? (() => Promise.reject(new Error('not called'))),
      foresee: () => Promise.reject(new Error('not called')),
      save: save ?? (() => Promise.resolve()),
      eraseIdentity: () => Promise.resolve(),
      onKept: () => undefined,
      engineRanSince: () => undefined,
      admit: () => ({ waitsFor: undefined, warning: '' }),
      operation: () => '',
      now,
      log: silentLog,
    },
    sockets: { connect: () => paths, agent: () => agent, socketsPath },
    requests: new Repeats({ log: silentLog }),
    connections: ownLimits(),
    backend: (all) => {
      const parts = {
        config,
        clients,
        identities: new Identities(clients.identity, now),
        now,
        log: silentLog,
      };
      const list = () => all.all().map((module) => module.summary());
      backend = workloadBackend({
        ...parts,
        modules: list,
        sources: () => [],
        containerId: () => undefined,
      });
      return backend;
    },
    management: () => [],
    records: { delete: () => Promise.resolve() },
    histories: {
      get: () => ({ ended: undefined, restartCount: 0, restartReason: '', ...history }),
      note: () => {},
      delete: async (name) => forget?.(name),
    },
    objects: { put: () => {}, remove: () => {} },
    onChange: () => {},
    log: silentLog,
  });
  return { modules, list: async () => String(await backend?.modules(callWithoutHold())) };
}

test('restores the warning of the pull for the image of a module', async ({ directory }) => {
  const pullWarning = { image: 'a', text: 'the registry is unreachable' };
  const { modules } = registryIn(directory, { history: { pullWarning } });
  const state = { goal: 'started' } as const;
  for (const [image, restored] of [
    ['a', pullWarning],
    ['b', undefined],
  ] as const) {
    const name = parseModuleName(`of-${image}`);
    const settings = { image, createOptions: {}, auth: undefined };
    const source = { name, settings, env: {}, elevated: false };
    const module = await modules.open({ source, saved: state });
    assert.is(module.status.pullWarning, restored?.text ?? '');
    assert.equal(module.history.pullWarning, restored);
    await modules.remove(module);
  }
});

/** Accepts the creation of modules of a registry. */
function acceptanceIn(modules: ModuleRegistry): Acceptance {
  return new Acceptance({
    config: { hostname: 'device', serverNames: new Map() } as unknown as ModulesConfig, // the members that are used
    records: { has: () => false, refuseDamaged: () => {} },
    modules,
    run: () => assert.unreachable('it is not to run'),
    abort: () => {},
    now,
  });
}

test('has no module whose creation was not accepted', async ({ directory }) => {
  const full = () => Promise.reject(new ServiceError('Unavailable', 'the disk is full'));
  const { modules } = registryIn(directory, { save: full });
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const creation = acceptanceIn(modules).claim(source, (module) =>
    module.supervisor.desired.accept('stopped', { verb: 'CreateModule' }),
  );
  assert.is(await failureOf(creation), 'Unavailable');
  assert.is(modules.find(name), undefined);
  assert.not.ok((await readdir(directory)).includes(name));
});

test('has a module whose creation failed created again, but no other in its place', async ({
  directory,
}) => {
  const { modules } = registryIn(directory);
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const module = await modules.open({ source, saved: { goal: 'failed', failure: 'no image' } });
  const accepted: unknown[] = [];
  const claim = (image: string) =>
    acceptanceIn(modules).claim({ ...source, settings: { ...settings, image } }, async (one) => {
      accepted.push(one);
    });
  assert.is(await failureOf(claim('b')), 'AlreadyExists');
  await claim('a');
  assert.equal(accepted, [module]);
  await modules.remove(module);
});

test('forgets the history of a module after it, and its server', async ({ directory }) => {
  const left: unknown[] = [];
  const { modules } = registryIn(directory, { forget: (name) => left.push(modules.find(name)) });
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const module = await modules.open({ source, saved: { goal: 'started' } });
  const server = modules.workload.of(name);
  await modules.remove(module);
  assert.equal(left, [undefined]);
  assert.is.not(modules.workload.of(name), server);
});

test('lets every module read the latest changes', async ({ directory }) => {
  const { modules, list } = registryIn(directory);
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const state = { goal: 'started' } as const;
  const running: Promise<unknown>[] = [];
  try {
    assert.not.match(await list(), 'sensor');
    for (const name of ['sensor', 'filter'].map(parseModuleName)) {
      const source = { name, settings, env: {}, elevated: false };
      const module = await modules.open({ source, saved: state });
      modules.show(module);
      assert.match(await list(), new RegExp(`"${name}".*"unknown"`));
      running.push(module.run());
      await until(longMs, 'an observation', () => module.status.instance !== undefined);
      assert.not.match(await list(), '"unknown"');
    }
    for (const module of modules.all()) {
      await modules.remove(module);
      assert.not.match(await list(), module.name);
    }
  } finally {
    for (const module of modules.all()) await modules.remove(module);
    await Promise.all(running);
  }
});

test('serves the management API to an agent once no container of another configuration runs', async ({
  directory,
}) => {
  const seen: string[] = [];
  const sockets = join(directory, 'edgeAgent');
  const see = async (step: string): Promise<void> => {
    seen.push(`${step}: ${(await readdir(sockets)).toSorted().join(' ')}`);
  };
  let found: Instance | undefined = { ...instance, digest: 'former' };
  const { modules } = registryIn(directory, {
    agent: 'edgeAgent',
    type: {
      find: () => Promise.resolve(found),
      stop: async () => {
        await see('stop');
        found = undefined;
      },
    },
    prepare: () =>
      Promise.resolve({
        digest: 'new',
        resolve: () =>
          Promise.resolve({
            create: async () => {
              await see('create');
              found = { ...instance, id: 'c2', digest: 'new' };
            },
          }),
        pull: () => Promise.resolve(''),
        start: () => Promise.resolve(),
      }),
  });
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name: parseModuleName('edgeAgent'), settings, env: {}, elevated: true };
  const saved = { goal: 'started' } as const;
  const module = await modules.open({ source, saved, isUnproven: true });
  const running = module.run();
  try {
    await until(longMs, 'the new container', () => found?.id === 'c2');
    assert.equal(seen, ['stop: workload.sock', 'create: mgmt.sock workload.sock']);
  } finally {
    await module[Symbol.asyncDispose]();
    await running;
  }
});

test('retries what crashes only for its own identity, and at once what has none', async ({
  directory,
}) => {
  let starts = 0;
  let refusals = 0;
  const at = () => new Date(starts);
  const crashed = (): Instance => ({
    ...instance,
    state: { kind: 'exited', exitCode: 1, startedAt: at(), finishedAt: at() },
  });
  const { modules } = registryIn(directory, {
    type: { find: ({ name }) => Promise.resolve(name === 'crashing' ? crashed() : undefined) },
    prepare: ({ name }) => {
      if (name === 'unknown') {
        refusals++;
        return Promise.reject(new ServiceError('Unavailable', 'the hub takes no more modules'));
      }
      const start = async () => {
        starts++;
      };
      const resolve = () => Promise.resolve({ create: () => Promise.resolve() });
      return Promise.resolve({ digest: '', resolve, start, pull: () => Promise.resolve('') });
    },
  });
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const open = (name: string) => {
    const source = { name: parseModuleName(name), settings, env: {}, elevated: false };
    return modules.open({ source, saved: { goal: 'started' } });
  };
  const crashing = await open('crashing');
  const unknown = await open('unknown');
  const running = [crashing.run(), unknown.run()];
  const retried = async (isChanged: boolean) => {
    modules.retry(() => isChanged);
    for (const { supervisor } of [crashing, unknown]) {
      supervisor.wake();
      await supervisor.idle();
    }
    return { starts, refusals };
  };
  try {
    await until(longMs, 'the delays', () => {
      return [crashing, unknown].every(({ status }) => status.retryAt !== undefined);
    });
    assert.equal(await retried(false), { starts: 1, refusals: 2 });
    assert.equal(await retried(true), { starts: 2, refusals: 3 });
  } finally {
    await Promise.all([crashing, unknown].map((module) => module[Symbol.asyncDispose]()));
    await Promise.all(running);
  }
});

test.run();
