/** Containers of modules that another client of the engine changes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ContainerSpec } from '../../../../src/modules/docker/container-spec.ts';
import { DockerModules } from '../../../../src/modules/docker/docker-modules.ts';
import { CreatedContainers } from '../../../../src/modules/docker/drift/created-containers.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  digestLabel,
  moduleLabel,
  owner,
  ownerLabel,
} from '../../../../src/modules/docker/labels.ts';
import { EngineMonitor } from '../../../../src/modules/supervisor/engine-monitor.ts';
import { Supervisor } from '../../../../src/modules/supervisor/supervisor.ts';
import { until } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { moduleSource } from '../../../support/engine/module-source.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  machine: PrivateEngine;
  directory: string;
}

const test = suite<Context>('changed containers');
const image = 'localhost/busybox:1';
const name = 'sensor';
const network = 'azure-iot-edge';
const memory = 64 << 20;
const Labels = { [ownerLabel]: owner, [digestLabel]: 'abc', [moduleLabel]: name };
const NetworkingConfig = { EndpointsConfig: { [network]: { Aliases: ['probe'] } } };
const body = {
  Cmd: ['sleep', '1000'],
  StopSignal: 'SIGKILL',
  Image: image,
  Labels,
  HostConfig: { Memory: memory, NetworkMode: network },
  NetworkingConfig,
};

/** The module in the care of a runtime that has just started, so that a change is repaired at once. */
class Cared implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  private constructor(running: (signal: AbortSignal) => Promise<unknown>) {
    this.#running = running(this.#stop.signal);
  }

  static async start({ machine, directory }: Context): Promise<Cared> {
    const options = { now: () => new Date(), log: silentLog };
    const created = await CreatedContainers.open(directory, options);
    const engine = new DockerEngine(machine.socketPath, { created });
    const spec = new ContainerSpec({
      engine,
      digest: 'abc',
      image: { image, auth: undefined, imagePullPolicy: 'never' },
      body,
      network: { name: network },
      check: () => Promise.resolve(),
    });
    const type = new DockerModules(engine, silentLog);
    const supervisor: Supervisor = new Supervisor({
      ...options,
      name,
      type,
      source: moduleSource(name),
      saved: { goal: 'started' },
      restartPolicy: 'always',
      engineStatus: () => monitor.status,
      prepare: () => Promise.resolve(spec),
      save: () => Promise.resolve(),
      eraseIdentity: () => Promise.resolve(),
      remove: () => Promise.resolve(),
      onStatus: () => {},
    });
    const onStatus = () => supervisor.wake();
    const monitor = new EngineMonitor({ ...options, type, onStatus, onInstance: onStatus });
    return new Cared((signal) => Promise.all([monitor.run(signal), supervisor.run(signal)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

const networks = '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}';
const format = `{{.State.Running}} {{.HostConfig.Memory}} {{.HostConfig.CpuShares}} ${networks}`;
const good = `true ${memory} 0 ${network} `.trim();

async function shown({ machine }: Context): Promise<string> {
  return await machine.docker('inspect', '--format', `{{.Id}} ${format}`, name).catch(() => '');
}

/** Waits for a container that is as the module demands, and is not this one; returns its id. */
async function repaired(context: Context, than = ''): Promise<string> {
  let found = '';
  await until(30_000, 'a container as demanded', async () => {
    found = await shown(context);
    return found.endsWith(` ${good}`) && !(than !== '' && found.startsWith(than));
  });
  return found.split(' ')[0] ?? '';
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-drift-'));
  await importBusybox(context.machine, image);
  await using _cared = await Cared.start(context);
  await repaired(context);
});

test.after(async ({ machine, directory }) => {
  await machine[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

test('stay as they are when nothing changes, also after a restart', async (context) => {
  const id = await repaired(context);
  await using _cared = await Cared.start(context);
  assert.is(await repaired(context), id);
});

for (const [what, change] of [
  ['updated', ['update', '--memory', '80m', '--memory-swap', '160m', name]],
  ['disconnected from their network', ['network', 'disconnect', network, name]],
  ['removed', ['rm', '-f', name]],
] as const) {
  test(`are made again when they are ${what}`, async (context) => {
    const id = await repaired(context);
    await using _cared = await Cared.start(context);
    await context.machine.docker(...change);
    await repaired(context, id);
  });
}

test('are made again when others with the same labels replaced them meanwhile', async (context) => {
  const { machine } = context;
  await machine.docker('rm', '-f', name);
  const labels = Object.entries(Labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const options = [
    '--name',
    name,
    '--net',
    network,
    '--memory',
    String(memory),
    '--stop-signal',
    'SIGKILL',
    ...labels,
  ];
  await machine.docker('run', '-d', ...options, image, 'sleep', '2000');
  const id = await repaired(context);
  await using _cared = await Cared.start(context);
  await repaired(context, id);
});

test.run();
