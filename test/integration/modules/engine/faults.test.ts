/** Modules while their engine, its registry or its disk fails. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { listens } from '../../../support/engine/silent-registry.ts';
import { messageOf } from '../../../support/failure.ts';
import { runs } from '../../../support/property.ts';
import { rigUsers } from '../../../support/rig/rig-users.ts';

const run = promisify(execFile);
const test = suite<{ device: ModulesRig }>('modules in failures');
const { image } = ModulesRig;
const sleeping = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };

function configOf(createOptions: object, reference = image): string {
  return JSON.stringify({ image: reference, createOptions });
}

const creation = (name: string, config = configOf(sleeping)) => [
  'sssa{ss}a{sv}',
  name,
  'docker',
  config,
  '0',
  '0',
];

async function create(device: ModulesRig, name: string, config?: string): Promise<void> {
  await device.succeed('CreateModule', creation(name, config));
}

const byName = (name: string) => ['sa{sv}', name, '0'];
const pidOf = ({ machine }: ModulesRig, name: string) =>
  machine.docker('inspect', '--format', '{{.State.Pid}}', name);

test.before(async (context) => {
  context.device = await ModulesRig.start({
    agent: { config: { image, createOptions: sleeping } },
  });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('run again after the engine was killed', async ({ device }) => {
  await create(device, 'survivor');
  await device.succeed('Start', byName('survivor'));
  await device.machine.stopDaemon('SIGKILL');
  await device.untilManager(({ Health }) => Health === 'degraded');
  await device.machine.startDaemon();
  await device.untilState('survivor', 'running');
  await device.untilState('edgeAgent', 'running');
});

test('run on while an engine that keeps them alive is killed', async ({ device }) => {
  const { machine } = device;
  await machine.stopDaemon();
  machine.options = ['--live-restore', '--max-download-attempts=1'];
  await machine.startDaemon();
  await device.untilState('survivor', 'running');
  const before = await pidOf(device, 'survivor');
  await machine.stopDaemon('SIGKILL');
  await device.untilManager(({ Health }) => Health === 'degraded');
  await machine.startDaemon();
  const { RestartCount } = await device.untilState('survivor', 'running');
  assert.is(await pidOf(device, 'survivor'), before);
  assert.is(RestartCount, (await device.module('survivor'))['RestartCount']);
});

test('are reported while the engine hangs, and operated when it goes on', async ({ device }) => {
  device.machine.signalDaemon('SIGSTOP');
  try {
    // reads need no engine
    await device.succeed('Describe', ['a{sv}', '0']);
    assert.is((await device.module('survivor'))['Name'], 'survivor');
    await device.succeed('Stop', ['sa{sv}', 'survivor', '1', 'wait', 'b', 'false']);
  } finally {
    device.machine.signalDaemon('SIGCONT');
  }
  await device.untilState('survivor', 'stopped');
  await device.succeed('Start', byName('survivor'));
});

test('are killed when they ignore SIGTERM', async ({ device }) => {
  await create(device, 'stubborn', configOf({ Cmd: ['sh', '-c', 'trap "" TERM; sleep 1000'] }));
  await device.succeed('Start', byName('stubborn'));
  await device.succeed('Stop', ['sa{sv}', 'stubborn', '1', 'timeout_s', 'u', '1']);
  assert.is((await device.module('stubborn'))['State'], 'stopped');
  await device.succeed('DeleteModule', byName('stubborn'));
});

test('are created where a directory has the place of their socket', async ({ device }) => {
  const directory = join(device.rig.stateDirectory('modules'), 'mnt/blocked');
  await mkdir(join(directory, 'workload.sock/file'), { recursive: true });
  const { code, stderr } = await device.call('CreateModule', creation('blocked'), 'operator');
  assert.is.not(code, 0);
  assert.match(stderr, /mnt\/blocked" \(EPERM\): it must be the service's own, or missing/);
  await run('chown', ['-R', String(rigUsers['iotedge-modules']), directory]);
  await create(device, 'blocked');
  await device.succeed('Start', byName('blocked'));
  await device.untilState('blocked', 'running');
  await device.succeed('DeleteModule', byName('blocked'));
});

test('of which many are created at once all run', async ({ device }) => {
  const names = Array.from({ length: Math.min(50, runs(8)) }, (_, index) => `many${index}`);
  await Promise.all(names.map(async (name) => create(device, name)));
  await Promise.all(names.map(async (name) => device.succeed('Start', byName(name))));
  const running = (await device.containers()).filter((text) => /^many.* running$/.test(text));
  assert.is(running.length, names.length);
  await Promise.all(names.map(async (name) => device.succeed('DeleteModule', byName(name))));
});

/** A registry with one image, whose only layer it cuts after a while. */
const cuttingRegistry = (layerBytes: number) => `
const { createHash } = require('node:crypto');
const layer = Buffer.alloc(${layerBytes});
const digest = (bytes) => 'sha256:' + createHash('sha256').update(bytes).digest('hex');
const config = Buffer.from(JSON.stringify({
  architecture: '${process.arch === 'arm64' ? 'arm64' : 'amd64'}', os: 'linux', config: {},
  rootfs: { type: 'layers', diff_ids: [digest(layer)] },
}));
const type = 'application/vnd.docker.distribution.manifest.v2+json';
const manifest = Buffer.from(JSON.stringify({
  schemaVersion: 2, mediaType: type,
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: config.length, digest: digest(config) },
  layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar', size: layer.length, digest: digest(layer) }],
}));
require('node:http').createServer((request, response) => {
  const send = (type, body) => {
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length, 'Docker-Content-Digest': digest(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.url === '/v2/') return send('application/json', Buffer.from('{}'));
  if (request.url.includes('/manifests/')) return send(type, manifest);
  if (request.url.endsWith(digest(config))) return send('application/octet-stream', config);
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': layer.length });
  response.write(layer.subarray(0, layer.length >> 1), () => setTimeout(() => response.destroy(), 50));
}).listen(5001, '127.0.0.1');
`;

/** Starts that registry; disposing ends it. */
async function brokenRegistry(
  machine: PrivateEngine,
  layerBytes: number,
): Promise<AsyncDisposable> {
  const script = join(machine.directory, 'registry.cjs');
  await writeFile(script, cuttingRegistry(layerBytes));
  const registry = machine.spawnInNetwork(process.execPath, script);
  await until(30_000, 'the registry', () => listens(registry.pid, 5001));
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(registry, 'close');
      registry.kill('SIGKILL');
      await ended;
    },
  };
}

test('whose registry is cut within a layer are not created, and leave nothing', async ({
  device,
}) => {
  const { machine } = device;
  await using _registry = await brokenRegistry(machine, 1 << 20);
  const args = creation('cut', configOf(sleeping, '127.0.0.1:5001/cut:1'));
  const { code, stderr } = await device.call('CreateModule', args, 'operator');
  assert.is.not(code, 0);
  assert.match(stderr, /127\.0\.0\.1:5001\/cut:1/);
  assert.not.match((await device.containers()).join(), /cut/);
  assert.is(await machine.docker('images', '-q', '127.0.0.1:5001/cut'), '');
});

test('have an engine that works on after an image did not fit on its disk', async () => {
  const data = await mkdtemp(join(tmpdir(), 'iotedge-small-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', data]);
  try {
    await using machine = await PrivateEngine.start(undefined, ['--data-root', data]);
    await using _registry = await brokenRegistry(machine, 200 << 20);
    const engine = new DockerEngine(machine.socketPath);
    const { signal } = new AbortController();
    const pull = engine.pull('127.0.0.1:5001/large:1', {}, signal);
    assert.match(await messageOf(pull), /no space left on device/);
    assert.is((await engine.version(signal)).version.length > 0, true);
  } finally {
    await run('umount', ['--recursive', '--lazy', data]);
    await rm(data, { recursive: true });
  }
});

test.run();
