/** Modules that try to get more of the host than they may: by links, volumes, restarts of the engine, names. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moduleLabel, owner, ownerLabel } from '../../../src/modules/docker/labels.ts';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { deviceName } from '../../support/rig/rig-config.ts';

interface Context {
  device: ModulesRig;
  /** A directory of root, with the paths that modules may mount. */
  place: string;
}

const test = suite<Context>('confined modules');
const { image } = ModulesRig;
const longMs = 60_000;
const sleeping = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image, createOptions: sleeping } };
const named = (name: string) => ({ signature: 'sa{sv}', body: [name, {}] });

async function create(device: ModulesRig, name: string, createOptions: object, more = {}) {
  const json = JSON.stringify({ image, createOptions: { ...sleeping, ...createOptions }, ...more });
  const body = [name, 'docker', json, {}, {}];
  // remove the rest of one that was refused
  await device.untilModule(name, ({ error }) => String(error).includes('no object'));
  return device.errorOf('CreateModule', { signature: 'sssa{ss}a{sv}', body });
}

function start(device: ModulesRig, name: string): Promise<string> {
  return device.errorOf('Start', named(name));
}

function inspect(device: ModulesRig, name: string, format: string): Promise<string> {
  return device.machine.docker('inspect', '-f', format, name);
}

const bind = (...Binds: readonly string[]) => ({ HostConfig: { Binds } });
const alias = (...Aliases: readonly string[]) => ({
  NetworkingConfig: { EndpointsConfig: { 'azure-iot-edge': { Aliases } } },
});

test.before(async (context) => {
  context.device = await ModulesRig.start({});
  context.place = await mkdtemp(join(context.device.rig.directory, 'place-'));
  await context.device.rig.run('chmod', ['755', context.place]);
  for (const name of ['shared', 'other']) await mkdir(join(context.place, name));
  const settings = {
    agent,
    allowed_binds: ['shared', 'other', 'late'].map((name) => join(context.place, name)),
    allowed_volumes: ['listed'],
    hostname: 'front.example',
    server_names: { broker: ['broker.example'] },
  };
  await context.device.restart(settings);
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test.after.each(async ({ device }) => {
  for (const name of ['first', 'second']) await device.errorOf('DeleteModule', named(name));
});

test('refuses paths below one that another module writes to', async ({ device, place }) => {
  const shared = join(place, 'shared');
  const swap = 'mkdir /d/sub; mv /d/sub /d/before; ln -s / /d/sub; sleep 1000';
  const options = { ...bind(`${shared}:/d`), Cmd: ['sh', '-c', swap] };
  assert.is(await create(device, 'first', options), 'no failure');
  assert.is(await start(device, 'first'), 'no failure');
  await until(longMs, 'the link', () => existsSync(join(shared, 'sub/etc')));
  for (const path of [join(shared, 'sub'), join(shared, 'sub/etc'), join(shared, 'before')]) {
    assert.is(await create(device, 'second', bind(`${path}:/host`)), 'AccessDenied', path);
    const Mounts = [{ Type: 'bind', Source: path, Target: '/host' }];
    assert.is(await create(device, 'second', { HostConfig: { Mounts } }), 'AccessDenied', path);
  }
});

test('does not start with nested paths in its configuration', async ({ device, place }) => {
  const paths = [join(place, 'shared'), join(place, 'shared/sub')];
  const file = join(device.rig.directory, 'nested');
  await mkdir(file);
  await writeFile(join(file, 'modules.yaml'), JSON.stringify({ allowed_binds: paths }));
  const { code, stdout, stderr } = await device.rig.iotedgectl([
    'config',
    'check',
    '--config-dir',
    file,
  ]);
  assert.is.not(code, 0);
  assert.match(stdout + stderr, 'lies below');
});

test('checks a host path before every start, and creates nothing that is missing', async ({
  device,
  place,
}) => {
  const late = join(place, 'late');
  assert.is(await create(device, 'first', bind(`${late}:/d`)), 'AccessDenied');
  assert.not(existsSync(late));
  await mkdir(late);
  assert.is(await create(device, 'first', bind(`${late}:/d:ro`)), 'no failure');
  assert.is(await start(device, 'first'), 'no failure');
  assert.is(await device.errorOf('Stop', named('first')), 'no failure');
  await rm(late, { recursive: true });
  assert.is(await start(device, 'first'), 'AccessDenied');
  assert.not(existsSync(late));
  await symlink('/', late);
  assert.is(await start(device, 'first'), 'AccessDenied');
  await rm(late);
  await mkdir(late);
  await device.rig.run('chmod', ['1777', place]);
  assert.is(await start(device, 'first'), 'AccessDenied');
  await device.rig.run('chmod', ['755', place]);
  assert.is(await start(device, 'first'), 'no failure');
  // the engine does not create a checked path that was removed meanwhile
  assert.is(await inspect(device, 'first', '{{len .HostConfig.Binds}}'), '0');
  await rm(late, { recursive: true });
});

test('allows a module its own volumes, and those that are listed', async ({ device }) => {
  const { machine } = device;
  const device_ = ['-o', 'type=none', '-o', 'o=bind', '-o', 'device=/'];
  for (const name of ['escape', 'listed'])
    await machine.docker('volume', 'create', ...device_, name);
  await machine.docker('volume', 'create', 'foreign');
  for (const name of ['escape', 'foreign']) {
    assert.is(await create(device, 'first', bind(`${name}:/host`)), 'AccessDenied', name);
  }
  assert.is(await create(device, 'first', bind('own:/data', 'listed:/host:ro')), 'no failure');
  const label = await machine.docker('volume', 'inspect', '-f', '{{json .Labels}}', 'own');
  assert.is(label, '{"org.iotedge.module":"first"}');
  assert.is(await create(device, 'second', bind('own:/data')), 'AccessDenied');
  // a volume that replaced its own is checked before the start
  await device.rig.stop('modules');
  await machine.docker('rm', '-f', 'first');
  await machine.docker('volume', 'rm', 'own');
  await machine.docker(
    'volume',
    'create',
    ...device_,
    '--label',
    'org.iotedge.module=first',
    'own',
  );
  assert.is(await start(device, 'first'), 'AccessDenied');
});

test('leaves no container with a restart policy of the engine', async ({ device }) => {
  const RestartPolicy = { Name: 'always' };
  assert.is(await create(device, 'first', { HostConfig: { RestartPolicy } }), 'no failure');
  assert.is(await start(device, 'first'), 'no failure');
  const policy = () => inspect(device, 'first', '{{.HostConfig.RestartPolicy.Name}}');
  assert.is.not(await policy(), 'always');
  // one that was created by an older runtime
  await device.rig.stop('modules');
  await device.machine.docker('update', '--restart', 'always', 'first');
  assert.is(await policy(), 'always');
  await device.agentRuns();
  await until(longMs, 'the policy', async () => (await policy()) === 'no');
  await device.rig.stop('modules');
  await device.machine.stopDaemon();
  await device.machine.startDaemon();
  assert.is(await inspect(device, 'first', '{{.State.Running}}'), 'false');
  await device.agentRuns();
  await device.untilState('first', 'running');
});

test('leaves no restart policy to an orphaned container of an older runtime', async ({
  device,
}) => {
  const { machine, rig } = device;
  await rig.stop('modules');
  const run = ['run', '-d', '--restart', 'always', '--stop-signal', 'KILL', '--name'];
  const ownerOnly = ['--label', `${ownerLabel}=${owner}`];
  const labels = (name: string) => [...ownerOnly, '--label', `${moduleLabel}=${name}`];
  const runOrphan = (name: string) =>
    machine.docker(...run, name, ...labels(name), image, 'sleep', '1000');
  await runOrphan('stray');
  // its image may have the label
  await machine.docker(...run, 'stranger', ...ownerOnly, image, 'sleep', '1000');
  await device.agentRuns();
  const policyOf = (name: string) =>
    machine.docker('inspect', '-f', '{{.HostConfig.RestartPolicy.Name}}', name);
  await until(longMs, 'the policy', async () => (await policyOf('stray')) === 'no');
  assert.is(await policyOf('stranger'), 'always');
  await runOrphan('late');
  await until(longMs, 'that of a later one', async () => (await policyOf('late')) === 'no');
  await machine.stopDaemon();
  await device.untilManager(({ Health }) => Health === 'degraded');
  await machine.startDaemon();
  await runOrphan('last');
  await until(longMs, 'that of the last one', async () => (await policyOf('last')) === 'no');
  assert.is(await policyOf('stranger'), 'always');
  await machine.docker('rm', '-f', 'stray', 'late', 'last', 'stranger');
});

test('restarts a module according to its restart policy', async ({ device }) => {
  const ending = (code: number) => ({ Cmd: ['sh', '-c', `exit ${code}`] });
  const cases = [
    ['never', 1, 'failed'],
    ['on-failure', 0, 'stopped'],
    ['on-failure', 1, 'backoff'],
    ['always', 0, 'backoff'],
  ] as const;
  for (const [restart_policy, code, state] of cases) {
    assert.is(await create(device, 'first', ending(code), { restart_policy }), 'no failure');
    assert.is(await start(device, 'first'), 'no failure');
    await device.untilState('first', state);
    assert.is(await device.errorOf('DeleteModule', named('first')), 'no failure');
  }
});

test('restarts a module whose health check fails', async ({ device }) => {
  const Healthcheck = { Test: ['CMD', 'false'], Interval: 100_000_000, Retries: 1 };
  const more = { restart_policy: 'on-unhealthy' };
  assert.is(await create(device, 'first', { Healthcheck }, more), 'no failure');
  assert.is(await start(device, 'first'), 'no failure');
  await device.untilState('first', 'backoff');
  // the end is reported before the engine shows it
  const running = () => inspect(device, 'first', '{{.State.Running}}');
  await until(longMs, 'its end', async () => (await running()) === 'false');
});

test('refuses a module a name of a parent of the device', async ({ device }) => {
  const hub = device.cloud.host.split(':', 1)[0] ?? '';
  const label = hub.split('.', 1)[0] ?? '';
  for (const name of [hub, `${label}.`, deviceName, 'front', 'global', 'acr.example', '10.1.2.3']) {
    const code = await create(device, 'first', alias(name));
    assert.ok(['AlreadyExists', 'AccessDenied'].includes(code), `${name}: ${code}`);
    const hostname = await create(device, 'first', { Hostname: name });
    assert.ok(['AlreadyExists', 'AccessDenied'].includes(hostname), `${name}: ${hostname}`);
  }
  assert.is(await create(device, 'first', alias('harmless')), 'no failure');
  assert.is(await create(device, 'broker', alias('broker.example')), 'no failure');
  assert.is(await device.errorOf('DeleteModule', named('broker')), 'no failure');
});

test('stops a module whose name became the one of the device', async ({ device }) => {
  assert.is(await create(device, 'first', alias('gateway')), 'no failure');
  assert.is(await start(device, 'first'), 'no failure');
  await device.restart({ agent, hostname: 'gateway.example' });
  const running = () => inspect(device, 'first', '{{.State.Running}}');
  await until(longMs, 'its end', async () => (await running()) === 'false');
  // not the warning of its pull, which is there from the beginning
  await device.untilModule('first', ({ LastError: text }) => String(text).includes('gateway'));
});

test('stops a module whose mounts are no longer allowed', async ({ device, place }) => {
  const shared = join(place, 'shared');
  const allowed = { agent, allowed_binds: [shared], allowed_volumes: ['foreign'] };
  await device.machine.docker('volume', 'create', 'foreign');
  await device.restart(allowed);
  for (const [options, less] of [
    [bind(`${shared}:/d`), { allowed_binds: [] }],
    [bind('foreign:/d'), { allowed_volumes: [] }],
  ] as const) {
    assert.is(await create(device, 'first', options), 'no failure');
    assert.is(await start(device, 'first'), 'no failure');
    await device.restart({ ...allowed, ...less });
    const running = () => inspect(device, 'first', '{{.State.Running}}');
    await until(longMs, 'its end', async () => (await running()) === 'false');
    // the exit of the container is reported first, for a moment
    await device.untilModule('first', ({ LastError: text }) => String(text).includes('allowed_'));
    await device.restart(allowed);
    assert.is(await device.errorOf('DeleteModule', named('first')), 'no failure');
  }
});

test.run();
