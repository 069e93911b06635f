import { createHmac, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import { digestLabel } from '../../../src/modules/labels.ts';
import type { Publisher } from '../../../src/modules/runtime.ts';
import { importBusybox, importNode, workloadClient } from '../../support/engine/images.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { TestRuntime } from '../../support/engine/test-runtime.ts';

interface Context {
  machine: PrivateEngine;
  stateDir: string;
  world: TestRuntime;
}

type ModuleProperties = Parameters<Publisher['put']>[1];

const test = suite<Context>('module runtime');
const busybox = 'localhost/busybox:1';
const clientImage = 'localhost/workload-client:1';
const wait = { wait: true };

function source(name: string, createOptions: Record<string, unknown> = {}, image = busybox) {
  return {
    name: parseModuleName(name),
    settings: { image, createOptions, auth: undefined },
    env: {},
  };
}

function sleeping(seconds = 1000): Record<string, unknown> {
  return { Cmd: ['sleep', String(seconds)], StopSignal: 'SIGKILL' };
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return isServiceError(error) ? error.code : `not ours: ${String(error)}`;
  }
}

async function until(
  world: TestRuntime,
  name: string,
  fits: (module: ModuleProperties) => boolean,
) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const module = world.published.get(name);
    if (module !== undefined && fits(module)) return module;
    if (Date.now() > deadline) throw new Error(`${name}: ${describe(module)}`);
    await sleep(20);
  }
}

function describe(module: ModuleProperties | undefined): string {
  return `${module?.State} ${module?.LastError}`;
}

const start = { verb: 'Start', goal: 'start', revert: true } as const;
const stop = {
  verb: 'Stop',
  goal: 'stopped',
  until: 'stopped',
  revert: true,
  stopTimeoutS: 0,
} as const;
const restart = { verb: 'Restart', goal: 'restart', revert: true, stopTimeoutS: 0 } as const;
const remove = { verb: 'Delete', goal: 'absent', revert: true } as const;

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  await importBusybox(context.machine, busybox);
  await importNode(context.machine, { tag: clientImage, main: workloadClient });
});

test.after(async ({ machine }) => {
  await machine[Symbol.asyncDispose]();
});

test.before.each(async (context) => {
  context.stateDir = await mkdtemp(join(tmpdir(), 'iotedge-modules-'));
});

test.after.each(async ({ machine, world, stateDir }) => {
  await world[Symbol.asyncDispose]();
  const ids = await machine.docker('ps', '-aq');
  for (const id of ids.split('\n').filter(Boolean)) await machine.docker('rm', '-fv', id);
  await rm(stateDir, { recursive: true, force: true });
});

async function open(context: Context, config: Record<string, unknown> = {}): Promise<TestRuntime> {
  context.world = await TestRuntime.start({
    config: { moby_runtime: { uri: `unix://${context.machine.socketPath}` }, ...config },
    stateDir: context.stateDir,
  });
  return context.world;
}

test('runs the agent, and gives it a signature, the trust bundle and a server certificate', async (context) => {
  const config = { image: clientImage };
  const world = await open(context, { agent: { config }, hostname: 'edge-device' });
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
  const line = await untilLog(world, 'edgeAgent');
  const found = JSON.parse(line) as Record<string, never>; // printed by the client
  const data = 'hub%2Fdevices%2Fdevice\n1700000000';
  assert.is(
    found['digest'],
    createHmac('sha256', 'key of $edgeAgent').update(data).digest('base64'),
  );
  assert.is(found['bundle'], world.authority.certificatePem);
  assert.is(found['serverStatus'], 201);
  assert.is(found['otherStatus'], 403);
  assert.is(found['keyMatches'], true);
  assert.is(found['opened'], true);
  const leaf = new X509Certificate(String(found['chain']));
  assert.ok(leaf.verify(new X509Certificate(world.authority.certificatePem).publicKey));
  assert.ok(leaf.subject.includes('CN=edgeAgent'));
  assert.equal(found['env'], {
    EdgeDeviceHostName: 'edge-device',
    IOTEDGE_APIVERSION: '2022-08-03',
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_DEVICEID: 'device',
    IOTEDGE_IOTHUBHOSTNAME: 'hub.example',
    IOTEDGE_MANAGEMENTURI: 'unix:///var/lib/iotedge/mgmt.sock',
    IOTEDGE_MODULEGENERATIONID: 'generation-$edgeAgent',
    IOTEDGE_MODULEID: '$edgeAgent',
    IOTEDGE_WORKLOADLISTEN_MNTURI: `unix://${context.stateDir}/mnt`,
    IOTEDGE_WORKLOADURI: 'unix:///var/lib/iotedge/workload.sock',
    Mode: 'iotedged',
    NetworkId: 'azure-iot-edge',
  });
  assert.is(world.manager.Health, 'ok');
  assert.is(world.manager.Engine?.reachable, true);
});

async function untilLog(world: TestRuntime, name: string): Promise<string> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const signal = AbortSignal.timeout(5000);
    const log = await world.runtime.logs(parseModuleName(name), { maxBytes: 1 << 20 }, signal);
    if (log.includes(10)) return log.toString().trim();
    if (Date.now() > deadline) throw new Error('no log');
    await sleep(100);
  }
}

test('refuses a server certificate in the name of another, also when an alias claims it', async (context) => {
  const EndpointsConfig = { 'azure-iot-edge': { Aliases: ['edgeHub', '*.example', '10.0.0.1'] } };
  const createOptions = { NetworkingConfig: { EndpointsConfig } };
  for (const name of ['edge-device', 'edgehub', '*.example', '10.0.0.1']) {
    const config = { image: clientImage, createOptions };
    const agent = { config, env: { COMMON_NAME: name } };
    const world = await open(context, { agent, hostname: 'edge-device' });
    await until(world, 'edgeAgent', ({ State }) => State === 'running');
    const found = JSON.parse(await untilLog(world, 'edgeAgent')) as Record<string, unknown>; // printed by the client
    assert.is(found['serverStatus'], 403, name);
    await world[Symbol.asyncDispose]();
    await context.machine.docker('rm', '-f', 'edgeAgent');
  }
});

test('starts the agent again when it ends, after a while', async (context) => {
  const config = { image: busybox, createOptions: sleeping() };
  const world = await open(context, { agent: { config } });
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
  await context.machine.docker('kill', 'edgeAgent');
  const waiting = await until(world, 'edgeAgent', ({ State }) => State === 'backoff');
  assert.is(waiting.ExitCode, 137);
  assert.match(waiting.LastError, /137/);
  const again = await until(world, 'edgeAgent', ({ State }) => State === 'running');
  assert.is(again.RestartCount, 1);
  assert.is(again.LastError, '');
  const waited = Number(again.StartedAt - waiting.FinishedAt) / 1_000_000;
  assert.ok(waited > 9 && waited < 15, String(waited));
});

test('makes the agent again when somebody removes it', async (context) => {
  const config = { image: busybox, createOptions: sleeping() };
  const world = await open(context, { agent: { config } });
  const first = await until(world, 'edgeAgent', ({ State }) => State === 'running');
  await context.machine.docker('rm', '-f', 'edgeAgent');
  await until(
    world,
    'edgeAgent',
    (module) => module.State === 'running' && module.StartedAt > first.StartedAt,
  );
});

test('keeps the agent stopped when told so, across a restart of the service', async (context) => {
  const config = { image: busybox, createOptions: sleeping() };
  const world = await open(context, { agent: { config } });
  const name = parseModuleName('edgeAgent');
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
  await world.runtime.change(name, stop, wait);
  assert.is(await context.machine.docker('ps', '-q'), '');
  await world[Symbol.asyncDispose]();
  const next = await open(context, { agent: { config } });
  const stopped = await until(next, 'edgeAgent', ({ State }) => State !== 'unknown');
  assert.is(stopped.State, 'stopped');
  await next.runtime.change(name, start, wait);
  await until(next, 'edgeAgent', ({ State }) => State === 'running');
  assert.is(await codeOf(next.runtime.change(name, remove, wait)), 'NotSupported');
});

test('leaves containers alone when the service restarts, replaces one whose configuration changed', async (context) => {
  const config = { image: busybox, createOptions: sleeping(1000) };
  const id = () => context.machine.docker('inspect', '--format', '{{.Id}}', 'edgeAgent');
  const world = await open(context, { agent: { config } });
  const first = await until(world, 'edgeAgent', ({ State }) => State === 'running');
  const firstId = await id();
  await world[Symbol.asyncDispose]();
  const same = await open(context, { agent: { config } });
  await until(
    same,
    'edgeAgent',
    ({ State, ConfigDigest }) => State === 'running' && ConfigDigest !== '',
  );
  assert.is(await id(), firstId);
  assert.is(same.published.get('edgeAgent')?.ConfigDigest, first.ConfigDigest);
  await same[Symbol.asyncDispose]();
  const changed = { image: busybox, createOptions: sleeping(1001) };
  const other = await open(context, { agent: { config: changed } });
  const replaced = await until(
    other,
    'edgeAgent',
    (module) => module.State === 'running' && module.StartedAt > first.StartedAt,
  );
  assert.is.not(replaced.ConfigDigest, first.ConfigDigest);
  assert.is.not(await id(), firstId);
});

test('shows a digest of the configuration that only its own key makes', async (context) => {
  const env = { PIN: '1234' };
  const world = await open(context);
  await world.runtime.create({ ...source('sensor', sleeping()), env }, wait);
  const shown = world.published.get('sensor')?.ConfigDigest ?? '';
  const format = `{{index .Config.Labels "${digestLabel}"}}`;
  const digest = await context.machine.docker('inspect', '--format', format, 'sensor');
  const file = join(context.stateDir, 'digest.key');
  assert.is((await stat(file)).mode & 0o777, 0o600);
  assert.is(
    shown,
    createHmac('sha256', await readFile(file))
      .update(digest)
      .digest('hex'),
  );
  await world[Symbol.asyncDispose]();
  await writeFile(file, 'short');
  const next = await open(context);
  await until(next, 'sensor', ({ State }) => State === 'created');
  assert.is(next.published.get('sensor')?.ConfigDigest, '');
  assert.match(next.manager.LastError ?? '', /digest\.key is damaged/);
  assert.is(await readFile(file, 'utf8'), 'short');
});

test('creates, starts, restarts, stops and deletes a module', async (context) => {
  const world = await open(context);
  const { runtime, published } = world;
  const name = parseModuleName('sensor');
  await runtime.create(source('sensor', sleeping()), wait);
  assert.is(published.get('sensor')?.State, 'created');
  assert.is(await codeOf(runtime.create(source('sensor', sleeping()), wait)), 'AlreadyExists');
  await runtime.change(name, start, wait);
  const first = await until(world, 'sensor', ({ State }) => State === 'running');
  await runtime.change(name, restart, wait);
  await until(
    world,
    'sensor',
    (module) => module.State === 'running' && module.StartedAt > first.StartedAt,
  );
  await runtime.change(name, stop, wait);
  await until(world, 'sensor', ({ State }) => State === 'stopped');
  assert.ok((await readdir(join(context.stateDir, 'mnt'))).includes('sensor'));
  await runtime.change(name, remove, wait);
  await untilGone(world, 'sensor');
  assert.is(await context.machine.docker('ps', '-aq'), '');
  assert.equal(await readdir(join(context.stateDir, 'mnt')), []);
  assert.equal(await readdir(join(context.stateDir, 'modules')), []);
  assert.is(await codeOf(runtime.change(name, start, wait)), 'NotFound');
});

async function untilGone(world: TestRuntime, name: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (world.published.has(name) || world.runtime.modules().length > 0) {
    if (Date.now() > deadline) throw new Error(`${name} is still there`);
    await sleep(20);
  }
  await sleep(100);
}

test('makes one module of two that are asked for at once, and as often as it is deleted', async (context) => {
  const { runtime } = await open(context);
  const name = parseModuleName('sensor');
  const make = (seconds: number) =>
    codeOf(runtime.create(source('sensor', sleeping(seconds)), wait));
  for (let left = 5; left > 0; left--) {
    assert.equal(await Promise.all([make(1000), make(1000)]), [undefined, undefined]);
    assert.equal(await readdir(join(context.stateDir, 'modules')), ['sensor.json']);
    assert.equal(await readdir(join(context.stateDir, 'mnt/sensor')), ['workload.sock']);
    await runtime.change(name, remove, wait);
    assert.equal(await readdir(join(context.stateDir, 'mnt')), []);
  }
  const different = await Promise.all([make(1000), make(1001)]);
  assert.equal(different, [undefined, 'AlreadyExists']);
});

test('remembers modules, with their configuration, when the service restarts', async (context) => {
  const world = await open(context);
  const auth = { username: 'user', password: 'hunter2' };
  const settings = { image: busybox, createOptions: sleeping(), auth };
  await world.runtime.create({ ...source('sensor'), settings }, wait);
  const name = parseModuleName('sensor');
  await world.runtime.change(name, start, wait);
  await world[Symbol.asyncDispose]();
  const next = await open(context);
  await until(next, 'sensor', ({ State }) => State === 'running');
  const shown = next.runtime.configOf(name);
  assert.equal(JSON.parse(shown), { ...settings, auth: { username: 'user' } });
  const file = join(context.stateDir, 'modules/sensor.json');
  assert.is((await stat(file)).mode & 0o777, 0o600);
  assert.match(await readFile(file, 'utf8'), /hunter2/);
});

test('leaves a module alone whose record is damaged, and says so', async (context) => {
  const first = await open(context);
  await first.runtime.create(source('sensor', sleeping()), wait);
  await first[Symbol.asyncDispose]();
  const file = join(context.stateDir, 'modules/sensor.json');
  await writeFile(file, '{');
  await mkdir(join(context.stateDir, 'mnt/orphan'));
  const next = await open(context);
  await sleep(300);
  assert.is(next.manager.Health, 'degraded');
  assert.match(next.manager.LastError ?? '', /sensor/);
  assert.is(await readFile(file, 'utf8'), '{');
  // Its container may run and use the directory; one that no record knows was never used.
  assert.equal(await readdir(join(context.stateDir, 'mnt')), ['sensor']);
  assert.is.not(await context.machine.docker('ps', '-aq'), '');
});

test('takes back a module that cannot be made', async (context) => {
  const world = await open(context);
  const missing = source('sensor', {}, '127.0.0.1:9/absent:1');
  assert.is(await codeOf(world.runtime.create(missing, wait)), 'Unavailable');
  await untilGone(world, 'sensor');
  const refused = source('sensor', { HostConfig: { Memory: 1 } });
  assert.is(await codeOf(world.runtime.create(refused, wait)), 'InvalidArgs');
  await untilGone(world, 'sensor');
  assert.equal(await readdir(join(context.stateDir, 'modules')), []);
});

test('takes back a start that fails', async (context) => {
  const world = await open(context);
  await world.runtime.create(source('sensor', { Cmd: ['/absent'] }), wait);
  const name = parseModuleName('sensor');
  assert.is(await codeOf(world.runtime.change(name, start, wait)), 'InvalidArgs');
  const failed = await until(world, 'sensor', ({ State }) => State !== 'starting');
  assert.is(failed.State, 'failed');
  assert.match(failed.LastError, /absent/);
});

test('does not touch a container of somebody else', async (context) => {
  const world = await open(context);
  await context.machine.docker('create', '--name', 'sensor', busybox);
  assert.is(await codeOf(world.runtime.create(source('sensor'), wait)), 'AlreadyExists');
  await untilGone(world, 'sensor');
  assert.is.not(await context.machine.docker('ps', '-aq'), '');
});

test('refuses what reaches outside the container, unless the configuration allows it', async (context) => {
  const elevated = source('sensor', { ...sleeping(), HostConfig: { PidMode: 'host' } });
  const world = await open(context);
  assert.is(await codeOf(world.runtime.create(elevated, wait)), 'AccessDenied');
  await untilGone(world, 'sensor');
  await world[Symbol.asyncDispose]();
  const other = await open(context, { allow_elevated: true });
  await other.runtime.create(elevated, wait);
});

test('lets a pull be cancelled', async (context) => {
  const silent = context.machine.spawnInNetwork(
    'busybox',
    'nc',
    '-ll',
    '-p',
    '5001',
    '-e',
    'sh',
    '-c',
    'cat >/dev/null',
  );
  try {
    const world = await open(context);
    await sleep(300);
    const making = codeOf(
      world.runtime.create(source('sensor', {}, '127.0.0.1:5001/slow:1'), wait),
    );
    await until(world, 'sensor', ({ State }) => State === 'pulling');
    assert.is(
      await codeOf(world.runtime.change(parseModuleName('sensor'), start, wait)),
      'Unavailable',
    );
    world.runtime.cancel(parseModuleName('sensor'));
    assert.is(await making, 'Cancelled');
    await untilGone(world, 'sensor');
  } finally {
    silent.kill('SIGKILL');
  }
});

test('answers at once when nobody is to wait, and tries again', async (context) => {
  const world = await open(context);
  const missing = source('sensor', {}, '127.0.0.1:9/absent:1');
  await world.runtime.create(missing, { wait: false });
  const waiting = await until(world, 'sensor', ({ State }) => State === 'backoff');
  assert.match(waiting.LastError, /absent/);
});

test('waits for the engine and for an identity', async (context) => {
  const config = { image: busybox, createOptions: sleeping() };
  context.world = await TestRuntime.start({
    config: { moby_runtime: { uri: `unix://${context.machine.socketPath}` }, agent: { config } },
    stateDir: context.stateDir,
    identityFailure: new ServiceError('Unavailable', 'no network'),
  });
  const { world } = context;
  const waiting = await until(world, 'edgeAgent', ({ LastError }) => LastError !== '');
  assert.is(waiting.State, 'backoff');
  assert.is(world.manager.Health, 'degraded');
  world.identityFailure = undefined;
  world.runtime.retryAll();
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
});

test('says that the engine is gone, and goes on when it is back', async (context) => {
  const config = { image: busybox, createOptions: sleeping() };
  const world = await open(context, { agent: { config } });
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
  await context.machine.stopDaemon();
  await until(world, 'edgeAgent', ({ State }) => State === 'unknown');
  assert.is(world.manager.Engine?.reachable, false);
  assert.is(world.manager.Health, 'degraded');
  assert.is(await codeOf(world.runtime.create(source('sensor'), wait)), 'Unavailable');
  await context.machine.startDaemon();
  await until(world, 'edgeAgent', ({ State }) => State === 'running');
  assert.is(world.manager.Health, 'ok');
});

test.run();
