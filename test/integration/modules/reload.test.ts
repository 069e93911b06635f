import { readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { until } from '../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('reload of the modules service');
const { image } = ModulesRig;
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image, createOptions } };

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent });
  await context.device.agentRuns();
});
test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

async function reload({ rig }: ModulesRig, settings: object): Promise<string> {
  await rig.configure('modules', settings);
  return rig.reload('modules');
}

/** A variable of the environment of a container, as the engine has it. */
async function variable({ machine }: ModulesRig, name: string, key: string): Promise<string> {
  const format = '{{range .Config.Env}}{{println .}}{{end}}';
  const lines = await machine.docker('inspect', '--format', format, name);
  return lines.split('\n').find((line) => line.startsWith(`${key}=`)) ?? '';
}

function untilVariable(device: ModulesRig, key: string, value: string): Promise<void> {
  const isSet = async (): Promise<boolean> =>
    (await variable(device, 'edgeAgent', key).catch(() => '')) === `${key}=${value}`;
  return until(120_000, `${key} in the agent`, isSet);
}

function isReachable({ Engine }: Readonly<Record<string, unknown>>): unknown {
  const found = new Map<string, unknown>(Object.entries(Engine ?? {})).get('reachable');
  return found instanceof Variant ? found.value : found;
}

function elevated(name: string): RawCall {
  const config = { image, createOptions: { ...createOptions, HostConfig: { Privileged: true } } };
  return { signature: 'sssa{ss}a{sv}', body: [name, 'docker', JSON.stringify(config), {}, {}] };
}

test('runs the agent with the environment, container and name of the new configuration', async ({
  device,
}) => {
  const other = { ...agent, env: { Colour: 'vermilion' } };
  assert.is(await reload(device, { agent: other, hostname: 'other.example' }), 'reloaded');
  await untilVariable(device, 'Colour', 'vermilion');
  assert.is(
    await variable(device, 'edgeAgent', 'EdgeDeviceHostName'),
    'EdgeDeviceHostName=other.example',
  );
  await device.untilState('edgeAgent', 'running');
  const workload_uri = 'unix:///var/lib/iotedge/other.sock';
  assert.is(await reload(device, { agent, connect: { workload_uri } }), 'reloaded');
  await untilVariable(device, 'IOTEDGE_WORKLOADURI', workload_uri);
  const sockets = join(device.rig.stateDirectory('modules'), 'mnt', 'edgeAgent');
  assert.equal((await readdir(sockets)).toSorted(), ['mgmt.sock', 'other.sock']);
  await device.untilState('edgeAgent', 'running');
  assert.is(await reload(device, { agent: { ...agent, name: 'manager' } }), 'reloaded');
  await device.untilState('manager', 'running');
  assert.is((await device.manager())['Agent'], 'manager');
  assert.is(await reload(device, { agent }), 'reloaded');
  await device.untilState('edgeAgent', 'running');
});

test('allows elevated modules from the next call on if the new configuration does', async ({
  device,
}) => {
  assert.is(await reload(device, { agent, allow_elevated: true }), 'reloaded');
  assert.is(await device.errorOf('CreateModule', elevated('strong')), 'no failure');
  assert.is(await reload(device, { agent, allow_elevated: false }), 'reloaded');
  assert.is(await device.errorOf('CreateModule', elevated('strong2')), 'AccessDenied');
  await device.untilModule('strong', ({ LastError }) => /elevated/.test(String(LastError)));
});

test('uses the engine of the new configuration', async ({ device }) => {
  const { directory } = device.rig;
  assert.is(
    await reload(device, { agent, moby_runtime: { uri: `unix://${directory}/engine/none.sock` } }),
    'reloaded',
  );
  await device.untilManager((manager) => !isReachable(manager));
  await symlink('docker.sock', `${directory}/engine/same.sock`);
  assert.is(
    await reload(device, { agent, moby_runtime: { uri: `unix://${directory}/engine/same.sock` } }),
    'reloaded',
  );
  await device.untilManager(({ Health }) => Health === 'ok');
  await device.untilState('edgeAgent', 'running');
});

test('stops a module whose volume the new configuration no longer lists', async ({ device }) => {
  await device.machine.docker('volume', 'create', 'foreign');
  const HostConfig = { Binds: ['foreign:/d'] };
  const config = { image, createOptions: { ...createOptions, HostConfig } };
  const body = ['archive', 'docker', JSON.stringify(config), {}, {}];
  assert.is(await reload(device, { agent, allowed_volumes: ['foreign'] }), 'reloaded');
  const creation = { signature: 'sssa{ss}a{sv}', body };
  assert.is(await device.errorOf('CreateModule', creation), 'no failure');
  const start = { signature: 'sa{sv}', body: ['archive', {}] };
  assert.is(await device.errorOf('Start', start), 'no failure');
  // a running module that is no longer listed is found by inspection, not by a creation
  assert.is(await reload(device, { agent, allowed_volumes: [] }), 'reloaded');
  await device.untilModule('archive', ({ LastError }) =>
    String(LastError).includes('allowed_volumes'),
  );
});

test('keeps the previous settings when those of a reload cannot be applied', async ({ device }) => {
  const { directory } = device.rig;
  // longer than the address of a socket may be
  const workload_uri = `unix:///var/lib/iotedge/${'w'.repeat(150)}.sock`;
  const moby_runtime = { uri: `unix://${directory}/engine/none.sock` };
  const changed = { agent, connect: { workload_uri }, moby_runtime };
  assert.is(await reload(device, changed), 'refused');
  const body = ['steady', 'docker', JSON.stringify({ image, createOptions }), {}, {}];
  const creation = { signature: 'sssa{ss}a{sv}', body };
  assert.is(await device.errorOf('CreateModule', creation), 'no failure');
  const sockets = join(device.rig.stateDirectory('modules'), 'mnt', 'steady');
  assert.equal(await readdir(sockets), ['workload.sock']);
  assert.is(await reload(device, { agent }), 'reloaded');
});

test('does not make an agent of a module that a call has created, nor does a start', async ({
  device,
}) => {
  const config = JSON.stringify({ image, createOptions });
  const creation = { signature: 'sssa{ss}a{sv}', body: ['candidate', 'docker', config, {}, {}] };
  await device.invoke('CreateModule', creation);
  const sockets = join(device.rig.stateDirectory('modules'), 'mnt', 'candidate');
  const named = { agent: { ...agent, name: 'candidate' } };
  assert.is(await reload(device, named), 'refused');
  const { LastError, Agent } = await device.manager();
  assert.match(String(LastError), 'agent.name: module "candidate" exists and is not the agent');
  assert.is(Agent, 'edgeAgent');
  assert.equal(await readdir(sockets), ['workload.sock']);
  await device.restart(named);
  assert.match(String((await device.manager())['LastError']), 'is not the agent: name the agent');
  assert.not.ok((await readdir(sockets)).includes('mgmt.sock'));
  await device.restart({ agent });
  await device.untilState('edgeAgent', 'running');
  const byName = { signature: 'sa{sv}', body: ['candidate', {}] };
  assert.is(await device.errorOf('DeleteModule', byName), 'no failure');
});

test('serves the management API to a new agent once its container is the one of the configuration', async ({
  device,
}) => {
  const { machine, rig } = device;
  const sockets = join(rig.stateDirectory('modules'), 'mnt', 'edgeAgent');
  await device.untilState('edgeAgent', 'running');
  const former = await machine.docker('inspect', '--format', '{{.Id}}', 'edgeAgent');
  assert.is(await reload(device, { agent: { ...agent, name: 'manager' } }), 'reloaded');
  await device.untilState('manager', 'running');
  machine.signalDaemon('SIGSTOP'); // the former container runs on
  try {
    assert.is(await reload(device, { agent: { ...agent, env: { Colour: 'green' } } }), 'reloaded');
    assert.equal(await readdir(sockets), ['workload.sock']);
  } finally {
    machine.signalDaemon('SIGCONT');
  }
  await untilVariable(device, 'Colour', 'green');
  await device.untilState('edgeAgent', 'running');
  assert.is.not(await machine.docker('inspect', '--format', '{{.Id}}', 'edgeAgent'), former);
  assert.equal((await readdir(sockets)).toSorted(), ['mgmt.sock', 'workload.sock']);
  assert.is(await reload(device, { agent }), 'reloaded');
});

test('refuses another listen path until a restart', async ({ device }) => {
  const listen = { workload_uri: 'unix:///var/lib/iotedge/elsewhere.sock' };
  assert.is(await reload(device, { agent, listen }), 'refused');
  assert.match(String((await device.manager())['LastError']), 'restart needed: listen');
  assert.is(await reload(device, { agent }), 'reloaded');
  assert.is((await device.manager())['LastError'], '');
});

test.run();
