import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import type { HubIdentities } from '../../../../../src/modules/api/management/hub-identities.ts';
import { identityRoutes } from '../../../../../src/modules/api/management/identity-routes.ts';
import { ask, jsonOf } from '../../../../support/http/ask.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';

interface Context {
  server: RoutesServer;
}

const test = suite<Context>('routes of identities');
const one = { managedBy: 'iotedge', generationId: '1' };
const sensor = { moduleId: 'sensor', ...one, authType: 'sas' };
const calls: string[] = [];

const refusing = (id: string): void => {
  if (id === 'other') throw new ServiceError('AlreadyExists', 'of other software');
  if (id === 'absent') throw new ServiceError('NotFound', 'absent');
};
const identities = {
  list: async () => [{ moduleId: '$edgeAgent', managedBy: '', generationId: '0' }],
  create: async (moduleId: string) => {
    refusing(moduleId);
    return { moduleId, ...one };
  },
  update: async (moduleId: string, generationId: string) => {
    refusing(moduleId);
    return { moduleId, ...one, generationId };
  },
  delete: async (moduleId: string) => {
    refusing(moduleId);
    calls.push(`delete ${moduleId}`);
  },
  reprovision: async () => {
    calls.push('reprovision');
  },
} as unknown as HubIdentities; // the methods that are used

test.before(async (context) => {
  context.server = await RoutesServer.open(identityRoutes(identities));
});

test.after(async ({ server }) => {
  await server[Symbol.asyncDispose]();
});

test('lists identities, with all four members, also at a path with a slash', async ({ server }) => {
  const listed = [{ moduleId: '$edgeAgent', managedBy: '', generationId: '0', authType: 'sas' }];
  for (const path of ['/identities', '/identities/']) {
    const answer = await ask(server.socketPath, 'GET', path);
    assert.is(answer.status, 200);
    assert.equal(jsonOf(answer), { identities: listed });
  }
});

test('creates with 200, and repeats the manager that was sent', async ({ server }) => {
  const create = (body: unknown) => ask(server.socketPath, 'POST', '/identities/', body);
  const sent = await create({ moduleId: 'sensor', managedBy: 'IotEdge' });
  assert.is(sent.status, 200);
  assert.equal(jsonOf(sent), { ...sensor, managedBy: 'IotEdge' });
  assert.equal(jsonOf(await create({ moduleId: 'sensor' })), sensor);
});

test('updates with 200, and says who manages it', async ({ server }) => {
  const body = { generationId: '1', managedBy: 'IotEdge' };
  const answer = await ask(server.socketPath, 'PUT', '/identities/%24edgeHub', body);
  assert.is(answer.status, 200);
  assert.equal(jsonOf(answer), { ...sensor, moduleId: '$edgeHub' });
});

test('deletes, and provisions again, with 204', async ({ server }) => {
  assert.is((await ask(server.socketPath, 'DELETE', '/identities/sensor')).status, 204);
  assert.is((await ask(server.socketPath, 'POST', '/device/reprovision')).status, 204);
  assert.equal(calls.splice(0), ['delete sensor', 'reprovision']);
});

test('refuses what cannot be', async ({ server }) => {
  const statusOf = async (method: string, path: string, body?: unknown) =>
    (await ask(server.socketPath, method, path, body)).status;
  const update = { generationId: '1' };
  for (const [status, method, path, body] of [
    [409, 'POST', '/identities', { moduleId: 'other' }],
    [400, 'POST', '/identities', { moduleId: '' }],
    [400, 'POST', '/identities', { moduleId: 'a b' }],
    [400, 'POST', '/identities', undefined],
    [422, 'POST', '/identities', {}],
    [422, 'POST', '/identities', []],
    [422, 'POST', '/identities', { moduleId: 1 }],
    [422, 'POST', '/identities', { moduleId: 'sensor', managedBy: null }],
    [404, 'PUT', '/identities/absent', update],
    [409, 'PUT', '/identities/other', update],
    [422, 'PUT', '/identities/sensor', { managedBy: 'IotEdge' }],
    [404, 'DELETE', '/identities/absent', undefined],
    [409, 'DELETE', '/identities/other', undefined],
    [400, 'GET', '/identities/sensor', undefined],
    [404, 'DELETE', '/identities/sensor/', undefined],
    [400, 'GET', '/device/reprovision', undefined],
  ] as const) {
    assert.is(
      await statusOf(method, path, body),
      status,
      `${method} ${path} ${JSON.stringify(body)}`,
    );
  }
  assert.equal(calls, []);
});

test.run();
