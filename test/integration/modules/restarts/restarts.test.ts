/** Modules that have to be restarted, and those that must not be. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../../src/interfaces/identity.ts';
import { ModulesRig, type RawCall } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('restarts of modules');
const { image } = ModulesRig;
const sleeping = {
  image,
  imagePullPolicy: 'never',
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};
const names = ['created', 'removing', 'layerless', 'edgeAgent'] as const;

const named = (name: string): RawCall => ({ signature: 'sa{sv}', body: [name, {}] });

async function started(device: ModulesRig, name: string, settings: object): Promise<void> {
  const body = [name, 'docker', JSON.stringify(settings), {}, {}];
  await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
  await device.invoke('Start', named(name));
}

function inspected({ machine }: ModulesRig, name: string, format: string): Promise<string> {
  return machine.docker('inspect', '--format', format, name);
}

/** Ends when the device is provisioned again and the agent was reconciled with the outcome. */
async function reprovision({ rig }: ModulesRig): Promise<void> {
  await using bus = await rig.connect();
  await client(bus, identityService, identityInterface).Reprovision({}, { timeoutMs: 60_000 });
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config: sleeping } });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('follow a failing health check, with that as the reason', async ({ device }) => {
  const Healthcheck = { Test: ['CMD', 'false'], Interval: 2e8, Timeout: 1e9, Retries: 1 };
  const createOptions = { ...sleeping.createOptions, Healthcheck };
  const settings = { ...sleeping, createOptions, restart_policy: 'on-unhealthy' };
  await started(device, 'sick', settings);
  const module = await device.untilModule(
    'sick',
    ({ RestartCount, State }) => Number(RestartCount) >= 1 && State === 'running',
  );
  assert.is(module['RestartReason'], 'its health check failed');
  await device.invoke('DeleteModule', named('sick'));
});

test('do not follow a Start of a module that runs, whose socket stays', async ({ device }) => {
  await started(device, 'steady', sleeping);
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/steady/workload.sock');
  const [before, { ino, ctimeMs }] = [await device.module('steady'), await stat(socket)];
  await device.invoke('Start', named('steady'));
  assert.equal(await device.module('steady'), before);
  const after = await stat(socket);
  assert.equal([after.ino, after.ctimeMs], [ino, ctimeMs]);
  await device.invoke('DeleteModule', named('steady'));
});

test('do not follow when the device is provisioned again as before, but when its hub is another one', async ({
  device,
}) => {
  const [id, { StartedAt }] = [
    await inspected(device, 'edgeAgent', '{{.Id}}'),
    await device.module('edgeAgent'),
  ];
  await reprovision(device);
  // the next operation is reconciled after that
  await device.invoke('Start', named('edgeAgent'));
  assert.is(await inspected(device, 'edgeAgent', '{{.Id}}'), id);
  assert.is((await device.module('edgeAgent'))['StartedAt'], StartedAt);
  device.cloud.movedTo = `localhost:${device.cloud.port}`;
  await reprovision(device);
  const moved = await device.untilModule(
    'edgeAgent',
    (module) => module['State'] === 'running' && module['StartedAt'] !== StartedAt,
  );
  assert.is(moved['RestartReason'], 'its configuration changed');
  assert.match(
    await inspected(device, 'edgeAgent', '{{.Config.Env}}'),
    'IOTEDGE_IOTHUBHOSTNAME=localhost',
  );
});

test('follow the removal of their network', async ({ device }) => {
  const { machine, rig } = device;
  await started(device, 'lonely', sleeping);
  const before = await inspected(device, 'lonely', '{{.Id}}');
  const network = await inspected(device, 'lonely', '{{.HostConfig.NetworkMode}}');
  await rig.stop('modules');
  const containers = (await machine.docker('ps', '--quiet')).split('\n');
  await machine.docker('stop', '--time', '0', ...containers);
  await machine.docker('network', 'rm', network);
  await device.succeed('Describe', ['a{sv}', '0']);
  await device.untilState('lonely', 'running');
  assert.is.not(await inspected(device, 'lonely', '{{.Id}}'), before);
  await device.invoke('DeleteModule', named('lonely'));
});

test('follow a power cut that damaged the containers, without a cloud and a registry', async ({
  device,
}) => {
  for (const name of ['created', 'removing', 'layerless']) await started(device, name, sleeping);
  const data = join(device.machine.directory, 'data');
  const ids = new Map<string, string>();
  for (const name of names) ids.set(name, await inspected(device, name, '{{.Id}}'));
  const layer = await inspected(device, 'layerless', '{{.GraphDriver.Data.UpperDir}}');
  await device.rig.stop('modules');
  await device.rig.stop('identity');
  await device.machine.docker('rm', '-f', 'created');
  await device.machine.docker('create', '--name', 'other', image);
  await device.machine.stopDaemon('SIGTERM');
  await device.cloud[Symbol.asyncDispose]();
  for (const name of ['removing', 'edgeAgent']) {
    const path = join(data, 'containers', ids.get(name) ?? '', 'config.v2.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"RemovalInProgress":false', '"RemovalInProgress":true'));
  }
  await rm(join(layer, '..'), { recursive: true });
  await device.machine.startDaemon();
  await device.succeed('Describe', ['a{sv}', '0']);
  for (const name of names) {
    await device.untilState(name, 'running');
    assert.is.not(await inspected(device, name, '{{.Id}}'), ids.get(name), name);
  }
  const reasons = await Promise.all(
    names.map(async (name) => (await device.module(name))['RestartReason']),
  );
  const damaged = 'its container was damaged';
  assert.equal(reasons, ['', damaged, damaged, damaged]);
});

test.run();
