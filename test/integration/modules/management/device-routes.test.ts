/** The management API about the device, at the agent's socket, with an engine, the other services and a hub. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { type Answer, ask, jsonOf } from '../../../support/http/ask.ts';
import { deviceName } from '../../../support/rig/rig-config.ts';
import { unzipped } from '../../../support/zip/unzipped.ts';

interface Context {
  device: ModulesRig;
  mgmt: (method: string, path: string, body?: unknown) => Promise<Answer>;
}

const test = suite<Context>('management of the device');
const { image } = ModulesRig;
const createOptions = {
  Cmd: ['sh', '-c', 'echo printed by a module; exec sleep 1000'],
  Env: ['HIDDEN=hunter2'],
  StopSignal: 'SIGKILL',
};
const settings = {
  agent: {
    config: { image, createOptions, auth: { username: 'user', password: 'hunter2' } },
    env: { SECRET: 'hunter2' },
  },
};

test.before(async (context) => {
  const device = await ModulesRig.start(settings);
  context.device = device;
  await device.agentRuns();
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/mgmt.sock');
  context.mgmt = (method, path, body) => ask(socket, method, path, body);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

interface Identity {
  readonly moduleId: string;
  readonly managedBy: string;
  readonly generationId: string;
  readonly authType: string;
}

async function identities({ mgmt }: Pick<Context, 'mgmt'>): Promise<readonly Identity[]> {
  const answer = await mgmt('GET', '/identities/');
  assert.is(answer.status, 200);
  return jsonOf(answer)['identities'] as readonly Identity[]; // each member is looked at
}

test('describes the machine with all members', async ({ mgmt }) => {
  const { status, ...answer } = await mgmt('GET', '/systeminfo');
  assert.is(status, 200);
  const info = jsonOf({ status, ...answer });
  for (const name of [
    'osType',
    'kernel_release',
    'kernel_version',
    'operating_system',
    'operating_system_version',
    'architecture',
    'virtualized',
    'version',
    'server_version',
  ]) {
    assert.type(info[name], 'string', name);
  }
  assert.is(info['osType'], 'Linux');
  assert.ok(Number.isInteger(info['cpus']) && Number(info['total_memory']) > 0);
  assert.equal(info['provisioning'], {
    type: 'ProvisioningType',
    dynamicReprovisioning: false,
    alwaysReprovisionOnStartup: false,
  });
});

test('reports resources, with the stats of the engine as a text', async ({ mgmt }) => {
  const used = jsonOf(await mgmt('GET', '/systeminfo/resources'));
  const stats = JSON.parse(String(used['docker_stats'])) as readonly Record<string, unknown>[]; // the engine's
  assert.equal(
    stats.map(({ name }) => name),
    ['/edgeAgent'],
  );
  assert.ok('precpu_stats' in (stats[0] ?? {}));
  assert.ok((used['disks'] as readonly unknown[]).length > 0);
  const { status } = await mgmt('GET', '/systeminfo/resources?api-version=2018-06-28');
  assert.is(status, 200); // the version that is given last counts
});

test('lists what the hub has, registers, updates and deletes', async ({ mgmt, device }) => {
  device.cloud.registry.put(deviceName, { moduleId: 'camera', managedBy: 'other' });
  const before = await identities({ mgmt });
  const managers = new Map(before.map(({ moduleId, managedBy }) => [moduleId, managedBy]));
  assert.is(managers.get('$edgeAgent'), 'iotedge');
  assert.is(managers.get('camera'), '');
  assert.ok(
    before.every(({ authType, generationId }) => authType === 'sas' && generationId !== ''),
  );
  const created = await mgmt('POST', '/identities/', { moduleId: 'sensor', managedBy: 'IotEdge' });
  assert.is(created.status, 200);
  const { generationId } = jsonOf(created);
  const changed = await mgmt('PUT', '/identities/sensor', { generationId, managedBy: 'IotEdge' });
  assert.is(changed.status, 200);
  assert.equal(jsonOf(changed), {
    moduleId: 'sensor',
    managedBy: 'iotedge',
    generationId,
    authType: 'sas',
  });
  const hub = before.find(({ moduleId }) => moduleId === '$edgeHub');
  const adopted = await mgmt('PUT', '/identities/%24edgeHub', {
    generationId: hub?.generationId,
    managedBy: 'IotEdge',
  });
  assert.is(jsonOf(adopted)['managedBy'], 'iotedge');
  for (const [status, method, path, body] of [
    [409, 'POST', '/identities', { moduleId: 'camera' }],
    [409, 'PUT', '/identities/sensor', { generationId: 'x' }],
    [404, 'PUT', '/identities/absent', { generationId: 'x' }],
    [409, 'DELETE', '/identities/camera', undefined],
    [404, 'DELETE', '/identities/absent', undefined],
    [204, 'DELETE', '/identities/sensor', undefined],
    [404, 'DELETE', '/identities/sensor', undefined],
  ] as const) {
    assert.is((await mgmt(method, path, body)).status, status, `${method} ${path}`);
  }
  const after = (await identities({ mgmt })).map(({ moduleId }) => moduleId);
  assert.not.ok(after.includes('sensor'));
  assert.ok(after.includes('camera'));
});

/** When the device was provisioned. */
async function provisioned({ rig }: ModulesRig): Promise<string> {
  const name = 'org.iotedge.Identity1';
  const property = ['get-property', name, '/org/iotedge/Identity1', name, 'LastProvisioned'];
  return (await rig.busctl(property, 'alice')).stdout;
}

test('provisions again without touching containers', async ({ mgmt, device }) => {
  const inspect = () =>
    device.machine.docker('inspect', '--format', '{{.Id}} {{.State.StartedAt}}', 'edgeAgent');
  const before = await inspect();
  const first = await provisioned(device);
  assert.is((await mgmt('POST', '/device/reprovision')).status, 204);
  await until(30_000, 'another result', async () => (await provisioned(device)) !== first);
  await device.untilState('edgeAgent', 'running');
  assert.is(await inspect(), before);
});

test('streams a support bundle without secrets', async ({ mgmt }) => {
  const { status, headers, body } = await mgmt(
    'GET',
    '/systeminfo/supportbundle?since=1d&until=1d',
  );
  assert.is(status, 200);
  assert.is(headers['content-type'], 'application/zip');
  const files = await unzipped(body);
  const { checks, additional_info: info } = JSON.parse(files['check.json'] ?? '') as {
    readonly checks: Readonly<Record<string, { readonly result: string }>>;
    readonly additional_info: Readonly<Record<string, unknown>>;
  };
  const services = ['keys', 'certificates', 'identity', 'modules'].map((name) => `iotedge-${name}`);
  assert.equal(Object.keys(checks), services);
  for (const { result } of Object.values(checks)) assert.ok(['ok', 'warning'].includes(result));
  assert.type(info['docker_version'], 'string');
  for (const name of ['keys', 'certificates', 'identity', 'modules']) {
    assert.match(files[`describe/${name}.json`] ?? '', `"service":"${name}"`);
    assert.type(files[`logs/iotedge-${name}.txt`], 'string');
  }
  assert.match(files['logs/edgeAgent_log.txt'] ?? '', 'printed by a module');
  assert.match(files['inspect/edgeAgent.json'] ?? '', 'HIDDEN=<redacted>');
  assert.match(files['config/modules.json'] ?? '', '"SECRET": "<redacted>"');
  assert.match(files['config/modules.json'] ?? '', '"on_stop": "leave"');
  assert.type(files['network/azure-iot-edge.json'], 'string');
  assert.not.match(JSON.stringify(files), 'hunter2');
});

test('serves others while a bundle is not read, and forgets it when its client leaves', async ({
  mgmt,
  device,
}) => {
  const path = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/mgmt.sock');
  const target = '/systeminfo/supportbundle?api-version=2022-08-03';
  const sockets = [1, 2].map(() => {
    const socket = connect(path);
    socket.pause();
    socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return socket;
  });
  assert.is((await mgmt('GET', '/identities')).status, 200);
  for (const socket of sockets) socket.destroy();
  await until(30_000, 'a place', async () => {
    return (await mgmt('GET', '/systeminfo/supportbundle?edge_runtime_only=true')).status === 200;
  });
});

test('answers in time while the hub throttles for ever', async ({ mgmt, device }) => {
  const { generationId } = jsonOf(await mgmt('POST', '/identities', { moduleId: 'throttled' }));
  const id = '/identities/throttled';
  let requests = 0;
  device.cloud.interfere = () => {
    requests++;
    return { status: 429, headers: { 'retry-after': '1' } };
  };
  try {
    const throttled = Promise.all([
      mgmt('POST', '/identities', { moduleId: 'another' }),
      mgmt('PUT', id, { generationId }),
      mgmt('DELETE', id),
      mgmt('PUT', '/identities/unknown', { generationId }),
    ]);
    // nothing that needs no hub waits for it
    for (const path of ['/modules', '/systeminfo', '/modules/edgeAgent/logs?tail=1']) {
      assert.is((await mgmt('GET', path)).status, 200, path);
    }
    const statuses = (await deadline(50_000, throttled, 'the answers')).map(({ status }) => status);
    assert.equal(statuses, [503, 503, 503, 503]);
    const saved = await deadline(30_000, identities({ mgmt }), 'the list');
    assert.ok(saved.some(({ moduleId }) => moduleId === 'throttled'));
    // four for each call of the hub: the list of `unknown` and that which is asked for may be one
    assert.ok(requests >= 12 && requests <= 24, `${requests} requests to the hub`);
  } finally {
    device.cloud.interfere = undefined;
  }
  assert.is((await mgmt('DELETE', id)).status, 204);
});

test('answers from what is saved, and with host values, when hub and engine are away', async ({
  mgmt,
  device,
}) => {
  device.cloud.interfere = () => ({ status: 500 });
  // the Identity service shares a list for five seconds
  await until(30_000, 'the saved ones', async () => {
    const saved = (await identities({ mgmt })).map(({ moduleId }) => moduleId);
    return saved.includes('$edgeAgent') && !saved.includes('camera');
  });
  device.machine.signalDaemon('SIGSTOP');
  try {
    const used = jsonOf(await mgmt('GET', '/systeminfo/resources'));
    assert.is(used['docker_stats'], '[]');
    assert.ok(Number(used['total_ram']) > 0);
  } finally {
    device.machine.signalDaemon('SIGCONT');
  }
});

test.run();
