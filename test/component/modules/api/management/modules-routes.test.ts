/** The requests below `/modules` as recorded of the original, and where it says 500 for what is not there, 404 or 400. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { managementRoutes } from '../../../../../src/modules/api/management/management.ts';
import { deadline } from '../../../../support/deadline.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';
import { RecordedModules } from '../../../../support/management/recorded-modules.ts';
import { requestOn, version } from '../../../../support/workload/api.ts';

interface Context {
  server: RoutesServer;
  modules: RecordedModules;
}

const test = suite<Context>('management of modules');
const newest = 'api-version=2022-08-03';

test.before.each(async (context) => {
  context.modules = new RecordedModules();
  context.server = await RoutesServer.open(managementRoutes({ modules: context.modules }));
});
test.after.each(({ server }) => server[Symbol.asyncDispose]());

const settings = { image: 'sensor:1', createOptions: {} };
const spec = { name: 'sensor', type: 'docker', config: { settings, env: [] } };
const withSettings = (more: object) => ({
  ...spec,
  config: { settings: { ...settings, ...more }, env: [] },
});
const withEnv = (...env: readonly unknown[]) => ({ ...spec, config: { settings, env } });

/** Method, path, body, status. */
type Row = readonly [string, string, unknown, number];

const reads: readonly Row[] = [
  ['GET', '/modules', undefined, 200],
  ['GET', '/modules/', undefined, 200],
  ['GET', '/modules/hub', undefined, 200],
  ['GET', '/modules/hub/', undefined, 404],
  ['GET', '/modules/edgeAgent', undefined, 200],
  ['GET', '/modules/%24edgeAgent', undefined, 200],
  ['GET', '/modules/%24hub', undefined, 404],
  ['GET', '/modules/absent', undefined, 404],
  ['GET', '/modules/a%20b', undefined, 400],
  ['GET', '/modules/..%2F..%2Fversion', undefined, 400],
  ['GET', '/modules/..', undefined, 400],
  ['GET', '/modules//', undefined, 404],
  ['GET', '/modules/hub/start', undefined, 400],
  ['PATCH', '/modules', undefined, 400],
];

const actions: readonly Row[] = [
  ['POST', '/modules/hub/start', undefined, 204],
  ['POST', '/modules/hub/stop', undefined, 204],
  ['POST', '/modules/hub/restart', undefined, 204],
  ['POST', '/modules/%24edgeAgent/restart', undefined, 204],
  ['POST', '/modules/hub/start', {}, 204],
  ['POST', '/modules/hub/start', '{', 422],
  ['POST', '/modules/hub/start/', undefined, 404],
  ['POST', '/modules/hub/Start', undefined, 404],
  ['PUT', '/modules/hub/start', {}, 400],
  ['POST', '/modules/absent/start', undefined, 404],
  ['POST', '/modules/absent/stop', undefined, 404],
  ['POST', '/modules/..%2Fhub/start', undefined, 400],
  ['DELETE', '/modules/hub', undefined, 204],
  ['DELETE', '/modules/absent', undefined, 404],
  ['DELETE', '/modules/..%2Fhub', undefined, 400],
];

const creations: readonly Row[] = [
  ['POST', '/modules', spec, 201],
  ['POST', '/modules/', spec, 201],
  ['POST', '/modules', { ...spec, unknown: 1 }, 201],
  ['POST', '/modules', { ...spec, name: 'hub' }, 409],
  ['POST', '/modules', undefined, 400],
  ['POST', '/modules', '', 400],
  ['POST', '/modules', '{', 422],
  ['POST', '/modules', [], 422],
  ['POST', '/modules', {}, 422],
  ['POST', '/modules', { ...spec, name: undefined }, 422],
  ['POST', '/modules', { ...spec, name: null }, 422],
  ['POST', '/modules', { ...spec, name: 7 }, 422],
  ['POST', '/modules', { ...spec, type: undefined }, 422],
  ['POST', '/modules', { ...spec, config: undefined }, 422],
  ['POST', '/modules', { ...spec, config: {} }, 422],
  ['POST', '/modules', { ...spec, imagePullPolicy: 1 }, 422],
  ['POST', '/modules', { ...spec, imagePullPolicy: null }, 201],
  ['POST', '/modules', { ...spec, config: { settings, env: null } }, 201],
  ['POST', '/modules', { ...spec, config: { settings } }, 201],
  ['POST', '/modules', { ...spec, config: { settings, env: {} } }, 422],
  ['POST', '/modules', withEnv({ key: 'a' }), 422],
  ['POST', '/modules', withEnv({ key: 'a', value: 1 }), 422],
  ['POST', '/modules', JSON.stringify(spec).replace('{', '{"name":"a",'), 422],
  ['POST', '/modules', JSON.stringify(spec).replace('"image"', '"image":"a","image"'), 400],
  ['POST', '/modules', withEnv({ key: 'a', value: '1' }, { key: 'b', value: '' }), 201],
  ['POST', '/modules', withEnv({ key: 'a', value: '1' }, { key: 'a', value: '2' }), 400],
  ['POST', '/modules', withEnv({ key: 'a=b', value: '1' }), 400],
  ['POST', '/modules', withEnv({ key: '', value: '1' }), 400],
  ['POST', '/modules', { ...spec, type: 'Docker' }, 400],
  ['POST', '/modules', { ...spec, type: 'systemd' }, 400],
  ['POST', '/modules', { ...spec, type: '' }, 400],
  ...['', 'a/b', 'a b', 'ä', '-a', '$a', '..'].map(
    (name): Row => ['POST', '/modules', { ...spec, name }, 400],
  ),
  ['POST', '/modules', { ...spec, imagePullPolicy: 'On-Create' }, 201],
  ['POST', '/modules', { ...spec, imagePullPolicy: 'NEVER' }, 201],
  ['POST', '/modules', { ...spec, imagePullPolicy: 'always' }, 400],
  ['POST', '/modules', { ...spec, imagePullPolicy: '' }, 400],
  ['POST', '/modules', { ...spec, config: { settings: {} } }, 400],
  ['POST', '/modules', { ...spec, config: { settings: null } }, 400],
  ['POST', '/modules', { ...spec, config: { settings: 'x' } }, 400],
  ['POST', '/modules', withSettings({ image: '' }), 400],
  ['POST', '/modules', withSettings({ image: 'A B' }), 400],
  ['POST', '/modules', withSettings({ createOptions: '{"Labels":{}}' }), 201],
  ['POST', '/modules', withSettings({ createOptions: '{' }), 400],
  ['POST', '/modules', withSettings({ createOptions: [] }), 400],
  ['POST', '/modules', withSettings({ digest: '' }), 201],
  ['POST', '/modules', withSettings({ digest: 'x' }), 400],
  ['POST', '/modules', withSettings({ unknown: 1, imageHash: 'x' }), 201],
  ['POST', '/modules', withSettings({ auth: { username: 'u', identitytoken: 'x' } }), 201],
  ['POST', '/modules', withSettings({ auth: { username: 1 } }), 400],
  ['POST', '/modules', { ...spec, name: 'forbidden' }, 403],
  ['POST', '/modules', { ...spec, name: 'unpulled' }, 503],
];

const hub = { ...spec, name: 'hub' };
const agent = { ...spec, name: 'edgeAgent' };

const updates: readonly Row[] = [
  ['PUT', '/modules/hub', hub, 201],
  ['PUT', '/modules/hub?start=true', hub, 201],
  ['PUT', '/modules/hub?start=false', hub, 201],
  ['PUT', '/modules/hub?start=True', hub, 400],
  ['PUT', '/modules/hub?start=1', hub, 400],
  ['PUT', '/modules/hub?start=', hub, 400],
  ['PUT', '/modules/hub?start=x', '{', 422],
  ['PUT', '/modules/hub?start=true&start=x', hub, 400],
  ['PUT', '/modules/%24edgeAgent', agent, 201],
  ['PUT', '/modules/hub', agent, 400],
  ['PUT', '/modules/absent', { ...spec, name: 'absent' }, 404],
  ['PUT', '/modules/absent', {}, 422],
  ['PUT', '/modules/absent', { ...spec, name: 'absent', type: 'Docker' }, 400],
  ['PUT', '/modules/a%2Fb', { ...spec, name: 'a/b' }, 400],
  ['PUT', '/modules/hub', undefined, 422],
  ['PUT', '/modules/hub', { ...hub, type: 'Docker' }, 400],
  ['PUT', '/modules/hub', { ...hub, config: { settings: {} } }, 400],
  ['PUT', '/modules/hub/', hub, 404],
  ['POST', '/modules/hub', hub, 400],
  ['POST', '/modules/sensor/prepareupdate', spec, 204],
  ['POST', '/modules/hub/prepareupdate', spec, 400],
  ['POST', '/modules/sensor/prepareupdate', { ...spec, imagePullPolicy: 'Never' }, 204],
  ['POST', '/modules/sensor/prepareupdate', { ...spec, imagePullPolicy: 'x' }, 400],
  ['POST', '/modules/sensor/prepareupdate', {}, 422],
  ['POST', '/modules/sensor/prepareupdate', undefined, 400],
  ['POST', '/modules/sensor/prepareupdate', withSettings({ image: '' }), 400],
  ['POST', '/modules/forbidden/prepareupdate', { ...spec, name: 'forbidden' }, 403],
];

for (const [method, path, body, status] of [...reads, ...actions, ...creations, ...updates]) {
  const shown = (typeof body === 'string' ? body : (JSON.stringify(body) ?? '')).slice(0, 200);
  test(`responds to ${method} ${path} ${shown} with ${status}`, async ({ server, modules }) => {
    const target = `${path}${path.includes('?') ? '&' : '?'}${newest}`;
    const response = requestOn(server.socketPath, method, target, body);
    assert.is((await response).status, status);
    if (status >= 400) {
      assert.type((await response).json['message'], 'string');
      assert.ok([403, 409, 503].includes(status) || modules.calls.length === 0, 'nothing is asked');
    }
  });
}

test('answers a creation with what was sent, without the password', async ({ server }) => {
  const auth = { serveraddress: 'r', username: 'u', password: 'SECRET' };
  const more = { auth, digest: '', unknown: { a: 1 }, createOptions: '{"Env":["A=1"]}' };
  const env = [{ key: 'B', value: '2' }];
  const body = { ...spec, config: { settings: { ...settings, ...more }, env } };
  const { json } = await requestOn(server.socketPath, 'POST', `/modules?${version}`, body);
  const { auth: _auth, ...shown } = more;
  assert.equal(json, {
    id: 'id',
    name: 'sensor',
    type: 'docker',
    config: { settings: { ...settings, ...shown }, env },
    status: { runtimeStatus: { status: 'stopped' } },
  });
});

test('passes on what is to be created: restarted by nothing but its agent, unless it says so', async ({
  server,
  modules,
}) => {
  const create = async (body: object) => {
    await requestOn(server.socketPath, 'POST', `/modules?${version}`, body);
    return modules.created.at(-1);
  };
  const plain = await create(withEnv({ key: 'A', value: '1' }));
  assert.equal(plain, {
    name: 'sensor',
    settings: { image: 'sensor:1', createOptions: {}, auth: undefined, restartPolicy: 'never' },
    env: { A: '1' },
    elevated: true,
  });
  const policy = { HostConfig: { RestartPolicy: { Name: 'always' } } };
  const restarted = await create(withSettings({ createOptions: policy }));
  assert.is(restarted?.settings.restartPolicy, undefined);
});

test('lists modules with the labels of the agent, and without environments', async ({ server }) => {
  const list = await requestOn(server.socketPath, 'GET', `/modules?${version}`);
  const { json } = await requestOn(server.socketPath, 'GET', `/modules/hub?${version}`);
  const listed = list.json['modules'] as readonly { readonly name: string }[]; // checked below
  assert.equal(
    listed.map(({ name }) => name),
    ['edgeAgent', 'hub'],
  );
  assert.equal(listed[1], json);
  assert.equal(json, {
    id: 'id',
    name: 'hub',
    type: 'docker',
    config: {
      settings: {
        image: 'hub:1',
        imageHash: 'sha256:1',
        createOptions: { Labels: { 'net.azure-devices.edge.env': '{"A":1}', mine: 'x' } },
      },
      env: [],
    },
    status: {
      startTime: '2026-02-01T00:00:00.000Z',
      exitStatus: { exitTime: '2026-01-31T00:00:00.000Z', statusCode: '3' },
      runtimeStatus: { status: 'running' },
    },
  });
  assert.equal(Reflect.get(listed[0] ?? {}, 'status'), { runtimeStatus: { status: 'stopped' } });
});

test('passes on operations by name, and says why one is refused', async ({ server, modules }) => {
  for (const action of ['start', 'stop', 'restart']) {
    await requestOn(server.socketPath, 'POST', `/modules/%24edgeAgent/${action}?${version}`);
  }
  await requestOn(server.socketPath, 'DELETE', `/modules/hub?${version}`);
  assert.equal(modules.calls, [
    'start edgeAgent',
    'stop edgeAgent',
    'restart edgeAgent',
    'remove hub',
  ]);
  modules.failure = new ServiceError('Unavailable', 'Stop of module "hub" is in progress');
  const { status, json } = await requestOn(
    server.socketPath,
    'POST',
    `/modules/hub/start?${version}`,
  );
  assert.equal([status, json['message']], [503, 'Stop of module "hub" is in progress']);
});

test('updates a module with a start or without, and prepares unless nothing may be pulled', async ({
  server,
  modules,
}) => {
  const ask = (method: string, path: string, body: object) =>
    requestOn(server.socketPath, method, path, body);
  const started = await ask('PUT', `/modules/hub?start=true&${newest}`, hub);
  const stopped = await ask('PUT', `/modules/hub?${newest}`, hub);
  assert.equal(
    [started, stopped].map(({ json }) => json['status']),
    [{ runtimeStatus: { status: 'running' } }, { runtimeStatus: { status: 'stopped' } }],
  );
  const prepare = (body: object, query = newest) =>
    ask('POST', `/modules/sensor/prepareupdate?${query}`, body);
  await prepare(spec);
  await prepare({ ...spec, imagePullPolicy: 'never' });
  assert.is((await prepare(spec, version)).status, 404, 'below its lowest version');
  assert.equal(modules.calls, ['update hub true', 'update hub false', 'prepare sensor']);
});

test('serves the list while every operation waits', async ({ server, modules }) => {
  modules.hold();
  const path = `/modules/hub/stop?${version}`;
  const held = Array.from({ length: 40 }, () => requestOn(server.socketPath, 'POST', path));
  try {
    const list = requestOn(server.socketPath, 'GET', `/modules?${version}`);
    assert.is((await deadline(10_000, list, 'the list')).status, 200);
  } finally {
    modules.release();
  }
  for (const response of await Promise.all(held)) assert.is(response.status, 204);
});

test.run();
