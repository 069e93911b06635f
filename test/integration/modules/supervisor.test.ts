/** A supervisor beside an engine that goes and comes: whose doing it is that a container ended. */
import { suite } from 'uvu';
import { DockerEngine } from '../../../src/modules/docker/docker-engine.ts';
import { EngineMonitor } from '../../../src/modules/engine-monitor.ts';
import type { Prepared } from '../../../src/modules/goal.ts';
import { digestLabel, owner, ownerLabel } from '../../../src/modules/labels.ts';
import { Supervisor } from '../../../src/modules/supervisor.ts';
import { until } from '../../support/deadline.ts';
import { importBusybox } from '../../support/engine/images.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';

const test = suite<{ machine: PrivateEngine }>('supervisor');
const image = 'localhost/busybox:1';
const name = 'sensor';
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const longMs = 90_000;

function prepared(Cmd: readonly string[]): Prepared {
  const Labels = { [ownerLabel]: owner, [digestLabel]: 'abc' };
  return {
    digest: 'abc',
    image,
    auth: undefined,
    body: { Image: image, Cmd, StopSignal: 'SIGKILL', Labels },
    network: { name: 'bridge' },
    check: () => Promise.resolve(),
    engineRestarts: false,
  };
}

/** A module that shall run, looked after by a clock that only goes when it is told to. */
class Supervised implements AsyncDisposable {
  readonly monitor: EngineMonitor;
  readonly #machine: PrivateEngine;
  readonly #supervisor: Supervisor;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #now = Date.now();

  constructor(machine: PrivateEngine, command: readonly string[]) {
    this.#machine = machine;
    const engine = new DockerEngine(machine.socketPath);
    this.#supervisor = new Supervisor({
      name,
      goal: 'started',
      engine,
      engineStatus: () => this.monitor.status,
      prepare: () => Promise.resolve(prepared(command)),
      saveGoal: () => Promise.resolve(),
      forget: () => Promise.resolve(),
      onReport: () => {},
      now: () => new Date(this.#now),
      log,
    });
    this.monitor = new EngineMonitor({
      engine,
      log,
      now: () => new Date(),
      // An engine that comes for the second time within a minute is no reason to forget failures.
      onStatus: () => this.#supervisor.wake(),
      onContainer: () => this.#supervisor.wake(),
    });
    const { signal } = this.#stop;
    this.#running = Promise.all([this.monitor.run(signal), this.#supervisor.run(signal)]);
  }

  pass(ms: number): void {
    this.#now += ms;
    this.#supervisor.wake();
  }

  /** When the container that runs was started. */
  get startedAt(): number | undefined {
    const { known, container } = this.#supervisor.report;
    return known && container?.state.kind === 'running'
      ? container.state.startedAt.getTime()
      : undefined;
  }

  /** Waits until the module is left alone for so long. */
  async untilWaits(ms: number): Promise<void> {
    const waitMs = () => (this.#supervisor.report.retryAt?.getTime() ?? 0) - this.#now;
    await until(longMs, `a wait of ${ms} ms`, () => waitMs() === ms);
  }

  /** Stops the engine and starts it again; resolves when the module is looked at again. */
  async restartEngine(signal: NodeJS.Signals): Promise<void> {
    const before = this.monitor.status.reachedAt;
    await this.#machine.stopDaemon(signal);
    await until(longMs, 'the engine to be gone', () => !this.monitor.status.reachable);
    await this.#machine.startDaemon();
    await until(longMs, 'the engine', () => this.monitor.status.reachedAt !== before);
    await until(longMs, 'a look', () => this.#supervisor.report.known);
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
  test(`starts what the engine ended at once when the engine is back from ${signal}`, async ({
    machine,
  }) => {
    await using module = new Supervised(machine, ['sleep', '1000']);
    await until(longMs, 'the module', () => module.startedAt !== undefined);
    const first = module.startedAt;
    await module.restartEngine(signal);
    // The clock stands still: a wait would have no end.
    await until(longMs, 'the module', () => ![undefined, first].includes(module.startedAt));
  });
}

test('does not forget in a restart of the engine that a module ends again and again', async ({
  machine,
}) => {
  await using module = new Supervised(machine, ['false']);
  await module.untilWaits(10_000);
  module.pass(10_000);
  await module.untilWaits(20_000);
  await module.restartEngine('SIGTERM');
  await module.untilWaits(20_000);
  module.pass(20_000);
  await module.untilWaits(40_000);
});

test.run();
