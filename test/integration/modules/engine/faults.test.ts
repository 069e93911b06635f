/** Modules while their engine, its registry or its disk fails. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import type { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { listens } from '../../../support/engine/silent-registry.ts';
import { runs } from '../../../support/property.ts';
import { rigUsers } from '../../../support/rig/rig-users.ts';
import { requestOn } from '../../../support/workload/api.ts';

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
  await device.untilState('edgeAgent', 'running');
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

test('have their socket when a directory has its place before they start', async ({ device }) => {
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/replaced/workload.sock');
  await create(device, 'replaced');
  await rm(socket);
  await mkdir(socket);
  await device.succeed('Start', byName('replaced'));
  const { status } = await requestOn(socket, 'GET', '/modules?api-version=2022-08-03');
  assert.is(status, 200);
  const isSocket = 'test -S "${IOTEDGE_WORKLOADURI#unix://}"';
  await device.machine.docker('exec', 'replaced', 'sh', '-c', isSocket);
  await device.succeed('DeleteModule', byName('replaced'));
});

test('run on when a directory has the place of their socket at a restart of the service', async ({
  device,
}) => {
  const { rig } = device;
  const socket = join(rig.stateDirectory('modules'), 'mnt/survivor/workload.sock');
  const before = await pidOf(device, 'survivor');
  for (const content of ['', 'directory']) {
    await rig.stop('modules');
    await rm(socket);
    // an engine makes one, as root, when it starts a container whose socket is missing
    await mkdir(join(socket, content), { recursive: true });
    await device.succeed('Describe', ['a{sv}', '0']);
    await device.untilState('edgeAgent', 'running');
    await device.untilState('survivor', 'running');
    const { status } = await requestOn(socket, 'GET', '/modules?api-version=2022-08-03');
    assert.is(status, 200);
    assert.is(await pidOf(device, 'survivor'), before);
  }
  // what is not the service's own stays, and hinders nothing
  await device.succeed('DeleteModule', byName('survivor'));
  const records = join(rig.stateDirectory('modules'), 'modules');
  await until(20_000, 'no record', async () => !(await readdir(records)).includes('survivor.json'));
  await rig.stop('modules');
  await device.agentRuns();
});

test('of which many are created at once all run', async ({ device }) => {
  const names = Array.from({ length: Math.min(50, runs(8)) }, (_, index) => `many${index}`);
  await Promise.all(names.map(async (name) => create(device, name)));
  await Promise.all(names.map(async (name) => device.succeed('Start', byName(name))));
  const running = (await device.containers()).filter((text) => /^many.* running$/.test(text));
  assert.is(running.length, names.length);
  await Promise.all(names.map(async (name) => device.succeed('DeleteModule', byName(name))));
});

const fileMiB = 12;

/** A registry whose images have one layer, with a file that is full of their name; a layer named `cut` ends half-way. */
const layerRegistry = `
const { createHash } = require('node:crypto');
const digest = (bytes) => 'sha256:' + createHash('sha256').update(bytes).digest('hex');
const octal = (number, length) => number.toString(8).padStart(length - 1, '0') + '\\0';
function tarOf(content) {
  const header = Buffer.alloc(512);
  header.write('file');
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(content.length, 12) + octal(0, 12) + ' '.repeat(8) + '0', 100);
  header.write('ustar\\u000000', 257);
  header.write(octal(header.reduce((sum, byte) => sum + byte), 8), 148);
  return Buffer.concat([header, content, Buffer.alloc(1024)]);
}
function imageOf(name) {
  const layer = tarOf(Buffer.alloc(${fileMiB} << 20, name));
  const config = Buffer.from(JSON.stringify({
    architecture: '${process.arch === 'arm64' ? 'arm64' : 'amd64'}', os: 'linux', config: {},
    rootfs: { type: 'layers', diff_ids: [digest(layer)] },
  }));
  const manifest = Buffer.from(JSON.stringify({
    schemaVersion: 2, mediaType: type,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: config.length, digest: digest(config) },
    layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar', size: layer.length, digest: digest(layer) }],
  }));
  return { layer, config, manifest };
}
const type = 'application/vnd.docker.distribution.manifest.v2+json';
const images = new Map();
require('node:http').createServer((request, response) => {
  const send = (type, body) => {
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length, 'Docker-Content-Digest': digest(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  if (request.url === '/v2/') return send('application/json', Buffer.from('{}'));
  const name = request.url.split('/')[2];
  if (!images.has(name)) images.set(name, imageOf(name));
  const { layer, config, manifest } = images.get(name);
  if (request.url.includes('/manifests/')) return send(type, manifest);
  if (request.url.endsWith(digest(config))) return send('application/octet-stream', config);
  if (name !== 'cut') return send('application/octet-stream', layer);
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': layer.length });
  response.write(layer.subarray(0, layer.length >> 1), () => setTimeout(() => response.destroy(), 50));
}).listen(5001, '127.0.0.1');
`;

/** Starts that registry; disposing ends it. */
async function startRegistry(machine: PrivateEngine): Promise<AsyncDisposable> {
  const script = join(machine.directory, 'registry.cjs');
  await writeFile(script, layerRegistry);
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
  await using _registry = await startRegistry(machine);
  const args = creation('cut', configOf(sleeping, '127.0.0.1:5001/cut:1'));
  const { code, stderr } = await device.call('CreateModule', args, 'operator');
  assert.is.not(code, 0);
  assert.match(stderr, /127\.0\.0\.1:5001\/cut:1/);
  assert.not.match((await device.containers()).join(), /cut/);
  assert.is(await machine.docker('images', '-q', '127.0.0.1:5001/cut'), '');
});

const atRegistry = (name: string) => configOf(sleeping, `127.0.0.1:5001/${name}:1`);

/** What the service pulled has not been needed for two hours, as far as it knows. */
async function letAge({ rig }: ModulesRig): Promise<void> {
  const directory = join(rig.stateDirectory('modules'), 'images');
  for (const file of await readdir(directory)) {
    const path = join(directory, file);
    const record = Object(JSON.parse(await readFile(path, 'utf8'))) as { usedAt: string };
    const usedAt = new Date(Date.parse(record.usedAt) - 7_200_000).toISOString();
    await writeFile(path, JSON.stringify({ ...record, usedAt }));
  }
}

test('whose image does not fit on the disk are created where unneeded images can be removed', async ({
  device,
}) => {
  const { machine, rig } = device;
  const data = await mkdtemp(join(tmpdir(), 'iotedge-small-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', `size=${4 * fileMiB}m`, 'tmpfs', data]);
  try {
    await rig.stop('modules');
    await machine.stopDaemon();
    machine.options = ['--data-root', data];
    await machine.startDaemon();
    await importBusybox(machine, image);
    await using _registry = await startRegistry(machine);
    // a pull needs the space of its image twice
    for (const name of ['unneeded', 'used']) {
      await create(device, name, atRegistry(name));
      if (name === 'used') await machine.docker('create', '127.0.0.1:5001/used:1', 'sh');
      await device.succeed('DeleteModule', byName(name));
    }
    await rig.stop('modules');
    await letAge(device);
    await create(device, 'fits', atRegistry('fits'));
    const { code, stderr } = await device.call(
      'CreateModule',
      creation('late', atRegistry('late')),
      'operator',
    );
    assert.is.not(code, 0);
    assert.match(stderr, /no space left on device; images were removed for it less than a minute/);
    const tagged = () => machine.docker('images', '--format', '{{.Repository}}', '127.0.0.1:*/*');
    assert.equal((await tagged()).split('\n').toSorted(), [
      '127.0.0.1:5001/fits',
      '127.0.0.1:5001/used',
    ]);
    await device.succeed('DeleteModule', byName('fits'));
    await rig.stop('modules');
    await letAge(device);
    await run('dd', ['if=/dev/zero', `of=${join(data, 'fill')}`, 'bs=4k']).catch(() => undefined);
    const stored = { image, imagePullPolicy: 'never', createOptions: sleeping };
    await create(device, 'held', JSON.stringify(stored));
    assert.is(await tagged(), '127.0.0.1:5001/used');
  } finally {
    await machine.stopDaemon();
    await run('umount', ['--recursive', '--lazy', data]);
    await rm(data, { recursive: true });
  }
});

test.run();
