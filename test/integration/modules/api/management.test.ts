/** The management API, asked from inside the agent's container and from the host, with a real engine. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../support/deadline.ts';
import { importNode, socketClient } from '../../../support/engine/images.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { requestOn } from '../../../support/workload/api.ts';

const test = suite<{ device: ModulesRig }>('the management API with an engine');
const version = 'api-version=2022-08-03';
const agentImage = 'localhost/socket-client:1';
const { image } = ModulesRig;
const prefix = 'net.azure-devices.edge.';

interface Response {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** A module as agents send it: with the binds and labels that they add. */
function specOf(name: string, createOptions: object = {}, settings: object = {}) {
  const options = {
    Cmd: ['sleep', '1000'],
    StopSignal: 'SIGKILL',
    HostConfig: { Binds: [`/var/lib/iotedge/mnt/${name}.sock:/var/lib/iotedge/workload.sock`] },
    Labels: { [`${prefix}create-options`]: '{}', [`${prefix}env`]: '{}' },
    ...createOptions,
  };
  const all = { image, createOptions: JSON.stringify(options), ...settings };
  const env = [{ key: 'A', value: '1' }];
  return { name, type: 'docker', imagePullPolicy: 'On-Create', config: { settings: all, env } };
}

const targetOf = (path: string) => `${path}${path.includes('?') ? '&' : '?'}${version}`;

/** A request from inside the agent's container. */
async function askInside(
  { machine }: ModulesRig,
  ...request: readonly string[]
): Promise<Response> {
  const client = ['node', 'main.mjs', '/var/lib/iotedge/mgmt.sock', ...request];
  return JSON.parse(await machine.docker('exec', 'edgeAgent', ...client)) as Response; // of the client
}

/** A request on the socket of the agent, by its path on the host. */
function ask({ rig }: ModulesRig, method: string, path: string, body?: object): Promise<Response> {
  const socket = join(rig.stateDirectory('modules'), 'mnt/edgeAgent/mgmt.sock');
  return requestOn(socket, method, targetOf(path), body);
}

async function statusOf(...request: Parameters<typeof ask>): Promise<number> {
  return (await ask(...request)).status;
}

/** The status of a module as the list has it. */
async function listed(device: ModulesRig, name: string) {
  const { json } = await ask(device, 'GET', `/modules/${name}`);
  return json['status'] as { readonly exitStatus?: object; readonly startTime?: string }; // of a module
}

const hostSocket = ({ rig }: ModulesRig) => join(rig.stateDirectory('modules'), 'mgmt.sock');

test.before(async (context) => {
  const createOptions = { StopSignal: 'SIGKILL' };
  const config = { image: agentImage, createOptions };
  const device = await ModulesRig.start({ agent: { config } });
  context.device = device;
  await importNode(device.machine, { tag: agentImage, main: socketClient });
  await device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('lists the agent with the labels of its configuration, in its container and on the host', async ({
  device,
}) => {
  const inside = await askInside(device, 'GET', targetOf('/modules/'));
  const outside = await requestOn(hostSocket(device), 'GET', `/modules?${version}`);
  assert.equal([inside.status, outside.status], [200, 200]);
  assert.equal(inside.json, outside.json);
  const [agent] = inside.json['modules'] as readonly object[]; // checked below
  const text = JSON.stringify(agent);
  assert.match(
    text,
    `"imageHash":"${await device.machine.docker('inspect', '-f', '{{.Image}}', 'edgeAgent')}"`,
  );
  for (const label of ['owner', 'original-image', 'create-options', 'env']) {
    assert.match(text, `"${prefix}${label}":`);
  }
  assert.match(text, `"runtimeStatus":{"status":"running"}`);
});

test('creates, starts, stops, restarts and removes a module for the agent', async ({ device }) => {
  const body = JSON.stringify(specOf('sensor'));
  assert.is((await askInside(device, 'POST', targetOf('/modules'), body)).status, 201);
  assert.equal(await listed(device, 'sensor'), { runtimeStatus: { status: 'stopped' } });
  for (let times = 2; times > 0; times--) {
    assert.is(await statusOf(device, 'POST', '/modules/sensor/start'), 204);
  }
  const first = await listed(device, 'sensor');
  assert.equal(Reflect.get(first, 'runtimeStatus'), { status: 'running' });
  assert.match(String(first.startTime), /Z$/);
  assert.is(first.exitStatus, undefined);
  for (let times = 2; times > 0; times--) {
    assert.is(await statusOf(device, 'POST', '/modules/sensor/stop'), 204);
  }
  const stopped = await listed(device, 'sensor');
  assert.equal(Reflect.get(stopped, 'runtimeStatus'), { status: 'failed' });
  assert.is(Reflect.get(Object(stopped.exitStatus), 'statusCode'), '137');
  assert.is(await statusOf(device, 'POST', '/modules/sensor/start'), 204);
  assert.equal((await listed(device, 'sensor')).exitStatus, stopped.exitStatus, 'it stays');
  assert.is(await statusOf(device, 'POST', '/modules/sensor/restart'), 204);
  assert.is(await statusOf(device, 'POST', '/modules', specOf('sensor')), 409);
  const sockets = join(device.rig.stateDirectory('modules'), 'mnt/sensor');
  assert.equal(await readdir(sockets), ['workload.sock'], 'it may not manage');
  assert.is(await statusOf(device, 'DELETE', '/modules/sensor'), 204);
  assert.is(await statusOf(device, 'DELETE', '/modules/sensor'), 404);
  assert.equal(await device.containers(), ['edgeAgent running']);
});

test('does not restart what its agent is to restart', async ({ device }) => {
  const spec = specOf('short', { Cmd: ['false'] });
  assert.is(await statusOf(device, 'POST', '/modules', spec), 201);
  assert.is(await statusOf(device, 'POST', '/modules/short/start'), 204);
  const { RestartCount } = await device.untilState('short', 'failed');
  assert.is(RestartCount, 0);
  assert.is(Reflect.get(Object((await listed(device, 'short')).exitStatus), 'statusCode'), '1');
  assert.is(await statusOf(device, 'DELETE', '/modules/short'), 204);
});

test('updates a module, whose former container is back when the new one is bad', async ({
  device,
}) => {
  const put = (createOptions: object, settings = {}, query = '?start=true') =>
    ask(device, 'PUT', `/modules/filter${query}`, specOf('filter', createOptions, settings));
  assert.is((await put({})).status, 404);
  assert.is(await statusOf(device, 'POST', '/modules', specOf('filter')), 201);
  assert.is(await statusOf(device, 'POST', '/modules/filter/start'), 204);
  const former = await device.machine.docker('inspect', '-f', '{{.Id}}', 'filter');
  const failed = await put({}, { image: '127.0.0.1:9/none:1' });
  assert.is(failed.status, 500);
  const after = await device.machine.docker('inspect', '-f', '{{.Id}} {{.State.Status}}', 'filter');
  assert.is(after, `${former} running`);
  const bad = await put({ Cmd: ['absent'] });
  assert.ok(bad.status >= 400, `${bad.status}`);
  const again = await put({ Cmd: ['absent'] });
  assert.is(again.status, 500, 'it is refused for some time');
  assert.match(String(again.json['message']), /rolled back/);
  await device.untilState('filter', 'running');
  const updated = await put({ Cmd: ['sleep', '2000'] });
  assert.is(updated.status, 201);
  assert.equal(updated.json['status'], { runtimeStatus: { status: 'running' } });
  assert.is.not(await device.machine.docker('inspect', '-f', '{{.Id}}', 'filter'), former);
  const command = await device.machine.docker('inspect', '-f', '{{.Config.Cmd}}', 'filter');
  assert.is(command, '[sleep 2000]');
  const prepare = (settings: object) =>
    statusOf(device, 'POST', '/modules/new/prepareupdate', specOf('new', {}, settings));
  assert.is(await prepare({ image: '127.0.0.1:9/none:1' }), 500);
  const stopped = await put({ Cmd: ['sleep', '3000'] }, {}, '');
  assert.equal(stopped.json['status'], { runtimeStatus: { status: 'stopped' } });
  assert.is(await statusOf(device, 'POST', '/modules/filter/start'), 204);
  assert.is(await statusOf(device, 'DELETE', '/modules/filter'), 204);
});

test('knows no container that it did not create, by its name or its id', async ({ device }) => {
  const id = await device.machine.docker('run', '-d', '--name', 'foreign', image, 'sleep', '1000');
  for (const name of ['foreign', id, id.slice(0, 12)]) {
    assert.is(await statusOf(device, 'GET', `/modules/${name}`), 404);
    assert.is(await statusOf(device, 'POST', `/modules/${name}/stop`), 404);
    assert.is(await statusOf(device, 'DELETE', `/modules/${name}`), 404);
  }
  assert.is(await statusOf(device, 'POST', '/modules/..%2Fforeign/start'), 400);
  const running = await device.machine.docker('inspect', '-f', '{{.State.Running}}', 'foreign');
  assert.is(running, 'true');
  await device.machine.docker('rm', '-f', 'foreign');
});

test('leaves nothing of a module that cannot be pulled, created or is not allowed', async ({
  device,
}) => {
  const create = (createOptions: object, settings: object) =>
    statusOf(device, 'POST', '/modules', specOf('broken', createOptions, settings));
  const never = {
    ...specOf('broken', {}, { image: 'localhost/none:1' }),
    imagePullPolicy: 'Never',
  };
  assert.is(await statusOf(device, 'POST', '/modules', never), 404);
  assert.is(await create({}, { image: '127.0.0.1:9/none:1' }), 500);
  assert.is(await create({ HostConfig: { Privileged: true } }, {}), 403);
  assert.is(await create({ HostConfig: { NetworkMode: 7 } }, {}), 400);
  assert.is(await statusOf(device, 'GET', '/modules/broken'), 404);
  const left = await lstat(join(device.rig.stateDirectory('modules'), 'mnt/broken')).catch(
    () => 'nothing',
  );
  assert.is(left, 'nothing');
});

test('replaces the agent at its own request, for the next process too, until modules.yaml has another', async ({
  device,
}) => {
  const idOf = () => device.machine.docker('inspect', '-f', '{{.Id}}', 'edgeAgent');
  const former = await idOf();
  const labels = { [`${prefix}create-options`]: '{"a":1}', [`${prefix}env`]: '{}' };
  const spec = specOf('edgeAgent', { Labels: labels }, { image: agentImage });
  assert.is(await statusOf(device, 'PUT', '/modules/%24edgeAgent', spec), 201);
  const replaced = () =>
    until(60_000, 'another container', async () => {
      return (await idOf().catch(() => former)) !== former;
    });
  await replaced();
  await device.untilState('edgeAgent', 'running');
  const updated = await idOf();
  const own = JSON.stringify((await ask(device, 'GET', '/modules/edgeAgent')).json);
  assert.match(own, JSON.stringify(labels).slice(1, -1));
  // unlike the modules that it made
  await device.machine.docker('kill', 'edgeAgent');
  await until(20_000, 'a restart', async () => {
    const count = (await device.module('edgeAgent'))['RestartCount'];
    return count === 1;
  });
  await device.untilState('edgeAgent', 'running');
  await device.rig.stop('modules');
  await device.agentRuns();
  assert.is(await idOf(), updated);
  const config = { image: agentImage, createOptions: { Cmd: ['sleep', '3000'] } };
  await device.rig.configure('modules', { agent: { config } });
  assert.is(await device.rig.reload('modules'), 'reloaded');
  await until(60_000, 'the configured container', async () => {
    const command = device.machine.docker('inspect', '-f', '{{.Config.Cmd}}', 'edgeAgent');
    return (await command.catch(() => '')) === '[sleep 3000]';
  });
});

test.run();
