/** A supervisor with an engine that stops and restarts: whether the module or the engine caused an end or a failure. */

import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { ContainerSpec } from '../../../src/modules/docker/container-spec.ts';
import { DockerModules } from '../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../src/modules/docker/engine/docker-engine.ts';
import { digestLabel, moduleLabel, owner, ownerLabel } from '../../../src/modules/docker/labels.ts';
import {
  EngineMonitor,
  type EngineStatus,
} from '../../../src/modules/supervisor/engine-monitor.ts';
import type { RestartPolicy } from '../../../src/modules/supervisor/restart/restart-policy.ts';
import { Supervisor } from '../../../src/modules/supervisor/supervisor.ts';
import { until } from '../../support/deadline.ts';
import { importBusybox } from '../../support/engine/images.ts';
import { moduleSource } from '../../support/engine/module-source.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { silentLog } from '../../support/log.ts';

const test = suite<{ machine: PrivateEngine }>('supervisor');
const image = 'localhost/busybox:1';
const name = 'sensor';
const longMs = 90_000;

function specOf(engine: DockerEngine, Cmd: readonly string[]): ContainerSpec {
  const Labels = { [ownerLabel]: owner, [digestLabel]: 'abc', [moduleLabel]: name };
  return new ContainerSpec({
    engine,
    digest: 'abc',
    image: { image, auth: undefined, imagePullPolicy: 'never' },
    body: { Image: image, Cmd, StopSignal: 'SIGKILL', Labels },
    network: { name: 'bridge' },
    check: () => Promise.resolve(),
  });
}

const options = {
  name,
  source: moduleSource(name),
  saved: { goal: 'started' },
  // what an engine ended is started again under any policy
  restartPolicy: 'never',
  save: () => Promise.resolve(),
  eraseIdentity: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  onStatus: () => {},
  log: silentLog,
} as const;

const neverReached: EngineStatus = {
  name: 'docker',
  version: '',
  reachable: false,
  steady: true,
  reachedAt: undefined,
  error: '',
};

/** A supervised module whose desired state is running, with a clock that only advances on request. */
class Supervised implements AsyncDisposable {
  readonly monitor: EngineMonitor;
  readonly #machine: PrivateEngine;
  readonly #supervisor: Supervisor;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #now = Date.now();
  #heldStatus: EngineStatus | undefined;

  constructor(
    machine: PrivateEngine,
    prepare: (engine: DockerEngine) => Promise<ContainerSpec>,
    restartPolicy: RestartPolicy = 'never',
  ) {
    this.#machine = machine;
    const engine = new DockerEngine(machine.socketPath);
    const type = new DockerModules(engine, silentLog);
    this.#supervisor = new Supervisor({
      ...options,
      restartPolicy,
      type,
      engineStatus: () => this.#heldStatus ?? this.monitor.status,
      prepare: () => prepare(engine),
      now: () => new Date(this.#now),
    });
    this.monitor = new EngineMonitor({
      type,
      log: silentLog,
      now: () => new Date(),
      // a second connection to the engine within a minute does not reset failures
      onStatus: () => this.#supervisor.wake(),
      onInstance: () => this.#supervisor.wake(),
    });
    const { signal } = this.#stop;
    this.#running = Promise.all([this.monitor.run(signal), this.#supervisor.run(signal)]);
  }

  pass(ms: number): void {
    this.#now += ms;
    this.#supervisor.wake();
  }

  /** Start time of the running container. */
  get startedAt(): number | undefined {
    const { known, instance } = this.#supervisor.status;
    return known && instance?.state.kind === 'running'
      ? instance.state.startedAt.getTime()
      : undefined;
  }

  /** Waits until the next retry is due in this time. */
  async untilWaits(ms: number): Promise<void> {
    const waitMs = () => (this.#supervisor.status.retryAt?.getTime() ?? 0) - this.#now;
    await until(longMs, `a wait of ${ms} ms`, () => waitMs() === ms);
  }

  /** Restarts the engine; resolves when the module is observed again. */
  async restartEngine(signal: NodeJS.Signals, { isNoticed = true } = {}): Promise<void> {
    const before = this.monitor.status;
    if (!isNoticed) this.#heldStatus = before;
    await this.#machine.stopDaemon(signal);
    this.#supervisor.wake();
    await until(longMs, 'the engine to be gone', () => !this.monitor.status.reachable);
    await until(longMs, 'an observation that fails', () => !this.#supervisor.status.known);
    await this.#machine.startDaemon();
    await until(longMs, 'the engine', () => this.monitor.status.reachedAt !== before.reachedAt);
    this.#heldStatus = undefined;
    this.#supervisor.wake();
    await until(longMs, 'an observation', () => this.#supervisor.status.known);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#machine.docker('rm', '-f', name);
  }
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  await importBusybox(context.machine, image);
});

test.after(async ({ machine }) => {
  await machine[Symbol.asyncDispose]();
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`restarts a module at once that ended with the engine when the engine is back from ${signal}`, async ({
    machine,
  }) => {
    await using module = new Supervised(machine, async (engine) =>
      specOf(engine, ['sleep', '1000']),
    );
    await until(longMs, 'the module', () => module.startedAt !== undefined);
    const first = module.startedAt;
    await module.restartEngine(signal);
    // the clock stands still: a wait would not end
    await until(longMs, 'the module', () => ![undefined, first].includes(module.startedAt));
  });
}

test('does not reset the backoff of a failing module when the engine restarts', async ({
  machine,
}) => {
  const failing = async (engine: DockerEngine) => specOf(engine, ['false']);
  await using module = new Supervised(machine, failing, 'always');
  await module.untilWaits(200);
  module.pass(200);
  await module.untilWaits(10_000);
  await module.restartEngine('SIGTERM');
  await module.untilWaits(10_000);
  module.pass(10_000);
  await module.untilWaits(20_000);
});

test('does not wait after a start that an undetected stop of the engine interrupted', async ({
  machine,
}) => {
  let restart: Promise<void> | undefined;
  const isThere = () => module.monitor.status.reachable;
  await using module = new Supervised(machine, async (engine) => {
    if (restart === undefined) {
      await until(longMs, 'the engine', isThere);
      restart = module.restartEngine('SIGKILL', { isNoticed: false });
      await until(longMs, 'the engine to be gone', () => !isThere());
    }
    return specOf(engine, ['sleep', '1000']);
  });
  await until(longMs, 'the cut', () => restart !== undefined);
  await restart;
  await until(longMs, 'the module', () => module.startedAt !== undefined);
});

test('does not reset a failure when an observation fails', async ({ machine }) => {
  let tries = 0;
  await using module = new Supervised(machine, () => {
    tries++;
    return Promise.reject(new ServiceError('Unavailable', 'no identity'));
  });
  await module.untilWaits(10_000);
  await until(longMs, 'the engine', () => module.monitor.status.reachable);
  await module.restartEngine('SIGKILL', { isNoticed: false });
  module.pass(10_000);
  await module.untilWaits(20_000);
  assert.is(tries, 2);
});

test('retries soon however often it retried while the engine was unavailable', async ({
  machine,
}) => {
  let error = 'unavailable';
  let failures = 0;
  const stop = new AbortController();
  const engine = new DockerEngine(join(machine.directory, 'absent.sock'));
  const supervisor = new Supervisor({
    ...options,
    type: new DockerModules(engine, silentLog),
    engineStatus: () => ({ ...neverReached, error }),
    prepare: async () => specOf(engine, ['true']),
    now: () => new Date(),
    log: { ...silentLog, warn: () => failures++ },
  });
  const running = supervisor.run(stop.signal);
  try {
    for (let round = 1; round <= 8; round++) {
      await until(longMs, `failure ${round}`, () => failures === round);
      if (round === 8) error = '';
      supervisor.wake();
    }
    // the ninth is the first that counts: the tenth follows without an event
    await until(longMs, 'an observation without an event', () => failures === 10);
  } finally {
    stop.abort();
    await running;
  }
});

test.run();
