/** The registry of a hub, from its client. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../../src/errors.ts';
import type { CloudRequest, CloudResponse } from '../../../../src/identity/cloud/cloud.ts';
import { Hub } from '../../../../src/identity/hub/hub.ts';
import { parseModuleId } from '../../../../src/ids.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite('hub');
const id = parseModuleId('$edgeAgent');
const via = { requestId: 'r', signal: new AbortController().signal };
const module = { moduleId: id, generationId: '7', managedBy: null, etag: 'AAAA=' };
const keys = { primary: Buffer.alloc(32, 1), secondary: Buffer.alloc(32, 2) };

/** A hub that sends these responses, in order; records the requests and the waits. */
function hubOf(...responses: readonly Partial<CloudResponse>[]) {
  const requests: CloudRequest[] = [];
  const waits: number[] = [];
  const left = [...responses];
  const cloud = {
    send: (request: CloudRequest): Promise<CloudResponse> => {
      requests.push(request);
      const plain = { status: 200, retryAfterS: undefined, body: module };
      return Promise.resolve({ ...plain, ...left.shift() });
    },
  };
  const wait = (ms: number): Promise<void> => {
    waits.push(ms);
    return Promise.resolve();
  };
  const device = { hubHostname: 'hub.example', deviceId: 'a b' };
  return { hub: new Hub(cloud, device, wait), requests, waits };
}

test('names modules and devices as URLs do', async () => {
  const { hub, requests } = hubOf();
  await hub.get(id, via);
  const [{ url } = { url: '' }] = requests;
  const path = 'https://hub.example/devices/a%20b/modules/%24edgeAgent';
  assert.is(url, `${path}?api-version=2017-11-08-preview`);
});

test('is reached through the gateway, and both are named', async () => {
  const urls: string[] = [];
  const cloud = {
    send: ({ url }: CloudRequest): Promise<CloudResponse> => {
      urls.push(url);
      return Promise.resolve({ status: 500, retryAfterS: undefined, body: undefined });
    },
  };
  const device = { hubHostname: 'hub.example', deviceId: 'd', gatewayHostname: 'parent:8443' };
  const hub = new Hub(cloud, device);
  const found = { moduleId: id, managedBy: '', etag: '*' };
  for (const request of [
    hub.list(via),
    hub.get(id, via),
    hub.create(id, '', via),
    hub.setKeys(found, keys, via),
    hub.delete(found, via),
  ]) {
    const failure = await request.catch((error: unknown) => error);
    assert.match(String(failure), 'on hub.example through parent:8443');
  }
  assert.is(urls.length, 5);
  for (const url of urls) assert.match(url, /^https:\/\/parent:8443\/devices\/d\/modules[/?]/);
});

const tags: readonly (readonly [string, Partial<CloudResponse>, string])[] = [
  ['of the body', { body: module, etag: '"BBBB="' }, '"AAAA="'],
  ['of the body, in quotes', { body: { ...module, etag: '"AAAA="' } }, '"AAAA="'],
  ['of the header', { body: { ...module, etag: undefined }, etag: 'W/"BBBB="' }, '"BBBB="'],
  ['that is missing', { body: { ...module, etag: undefined } }, '*'],
  ['that is empty', { body: { ...module, etag: '""' } }, '*'],
  ['that is invalid', { body: { ...module, etag: 'a"b\r\nc: d' } }, '*'],
];
for (const [what, response, sent] of tags) {
  test(`writes with the entity tag ${what}`, async () => {
    const { hub, requests } = hubOf(response);
    const found = await hub.get(id, via);
    assert.is(found?.managedBy, '');
    await hub.setKeys({ moduleId: id, managedBy: 'x', etag: found?.etag ?? '' }, keys, via);
    await hub.delete({ moduleId: id, etag: found?.etag ?? '' }, via);
    const written = requests.slice(1).map(({ headers }) => headers?.['if-match']);
    assert.equal(written, [sent, sent]);
  });
}

test('reports that a module changed meanwhile', async () => {
  const stale = { status: 412, body: { Message: 'ErrorCode:PreconditionFailed;' } };
  const { hub } = hubOf(stale, stale);
  const named = { moduleId: id, managedBy: 'x', etag: 'AAAA=' };
  assert.is(await failureOf(hub.setKeys(named, keys, via)), 'Unavailable');
  assert.is(await failureOf(hub.delete(named, via)), 'Unavailable');
});

test('retries a busy hub after its Retry-After, a few times', async () => {
  const busy = (retryAfterS: number | undefined) => ({ status: 429, retryAfterS, body: {} });
  const soon = hubOf(busy(2), { ...busy(0), status: 503 });
  assert.is((await soon.hub.get(id, via))?.generationId, '7');
  assert.equal(soon.waits, [2000, 1000]);
  const always = hubOf(...Array.from({ length: 9 }, () => busy(2)));
  assert.is(await failureOf(always.hub.get(id, via)), 'Unavailable');
  assert.is(always.requests.length, 4);
  for (const retryAfterS of [undefined, 11, 3600]) {
    const late = hubOf(busy(retryAfterS));
    assert.is(await failureOf(late.hub.get(id, via)), 'Unavailable');
    assert.equal(late.waits, []);
  }
});

test('does not retry a busy hub when the caller has left', async () => {
  const cancel = new AbortController();
  const cloud = {
    send: (): Promise<CloudResponse> => {
      setImmediate(() => cancel.abort(new ServiceError('Cancelled', 'by somebody')));
      return Promise.resolve({ status: 429, retryAfterS: 9, body: {} });
    },
  };
  const hub = new Hub(cloud, { hubHostname: 'h', deviceId: 'd' });
  const pending = hub.get(id, { requestId: 'r', signal: cancel.signal });
  assert.is(await failureOf(pending), 'Cancelled');
});

test('creates, reads, updates and deletes a module with the documented requests', async () => {
  const named = { moduleId: id, managedBy: 'x', etag: 'AAAA=' };
  const { hub, requests } = hubOf({ status: 201 }, {}, {}, { status: 204 }, { body: [module] });
  const made = await hub.create(id, 'x', via);
  assert.equal(made, {
    moduleId: id,
    generationId: '7',
    managedBy: '',
    etag: 'AAAA=',
    authentication: '',
  });
  await hub.get(id, via);
  await hub.setKeys(named, keys, via);
  await hub.delete(named, via);
  await hub.list(via);
  const symmetricKey = {
    primaryKey: Buffer.alloc(32, 1).toString('base64'),
    secondaryKey: Buffer.alloc(32, 2).toString('base64'),
  };
  const body = { moduleId: id, deviceId: 'a b', managedBy: 'x' };
  const url = 'https://hub.example/devices/a%20b/modules';
  const one = `${url}/%24edgeAgent?api-version=2017-11-08-preview`;
  const headers = { 'if-match': '"AAAA="' };
  assert.equal(requests, [
    { method: 'PUT', url: one, body },
    { method: 'GET', url: one },
    {
      method: 'PUT',
      url: one,
      body: { ...body, authentication: { type: 'sas', symmetricKey } },
      headers,
    },
    { method: 'DELETE', url: one, headers },
    { method: 'GET', url: `${url}?api-version=2017-11-08-preview` },
  ]);
});

/** The outcome of each call at a status: a result, `none`, or the status in its message. */
const outcomes: readonly (readonly [
  number,
  Readonly<Record<'create' | 'get' | 'keys' | 'delete' | 'list', string>>,
])[] = [
  [200, { create: 'module', get: 'module', keys: 'module', delete: 'done', list: 'list' }],
  [201, { create: 'module', get: 'module', keys: 'module', delete: '201', list: '201' }],
  [204, { create: '204', get: '204', keys: '204', delete: 'done', list: '204' }],
  [400, { create: '400', get: '400', keys: '400', delete: '400', list: '400' }],
  [401, { create: '401', get: '401', keys: '401', delete: '401', list: '401' }],
  [403, { create: '403', get: '403', keys: '403', delete: '403', list: '403' }],
  [404, { create: '404', get: 'none', keys: 'none', delete: 'done', list: '404' }],
  [409, { create: 'none', get: '409', keys: '409', delete: '409', list: '409' }],
  [412, { create: 'changed', get: 'changed', keys: 'changed', delete: 'changed', list: '412' }],
  [429, { create: '429', get: '429', keys: '429', delete: '429', list: '429' }],
  [500, { create: '500', get: '500', keys: '500', delete: '500', list: '500' }],
  [503, { create: '503', get: '503', keys: '503', delete: '503', list: '503' }],
];
const named = { moduleId: id, managedBy: 'x', etag: 'AAAA=' };
const calls = {
  create: (hub: Hub) => hub.create(id, 'x', via),
  get: (hub: Hub) => hub.get(id, via),
  keys: (hub: Hub) => hub.setKeys(named, keys, via),
  delete: (hub: Hub) => hub.delete(named, via),
  list: (hub: Hub) => hub.list(via),
};
const verbs = { create: 'PUT', get: 'GET', keys: 'PUT', delete: 'DELETE', list: 'GET' };

for (const [status, expected] of outcomes) {
  test(`interprets status ${status}`, async () => {
    for (const kind of ['create', 'get', 'keys', 'delete', 'list'] as const) {
      const body = kind === 'list' ? [module] : module;
      const { hub } = hubOf({ status, body: status < 300 ? body : {} });
      const result: unknown = await calls[kind](hub).catch((error: unknown) => error);
      const outcome = expected[kind];
      if (outcome === 'none' || outcome === 'done') assert.is(result, undefined, kind);
      else if (outcome === 'module' || outcome === 'list') assert.type(result, 'object', kind);
      else {
        assert.ok(isServiceError(result, 'Unavailable'), `${kind}: ${String(result)}`);
        assert.match(result.message, `${verbs[kind]} of `);
        assert.match(result.message, 'on hub.example');
        if (outcome === 'changed') assert.match(result.message, 'has changed the module meanwhile');
        else assert.match(result.message, `HTTP ${outcome}`);
      }
      if (outcome === 'module') assert.not.instance(result, Error);
    }
  });
}

test('refuses a response about another module', async () => {
  const body = { ...module, moduleId: '$edgeHub' };
  for (const kind of ['create', 'get', 'keys'] as const) {
    const { hub } = hubOf({ body });
    assert.is(await failureOf(calls[kind](hub)), 'Unavailable', kind);
  }
});

test('retries with at most ten seconds of wait, three times', async () => {
  const busy = (retryAfterS: number) => ({ status: 503, retryAfterS, body: {} });
  const thrice = hubOf(busy(10), busy(0.2), busy(1));
  assert.is((await thrice.hub.get(id, via))?.generationId, '7');
  assert.equal(thrice.waits, [10_000, 1000, 1000]);
  const failed = hubOf({ status: 500, retryAfterS: 1, body: {} });
  assert.is(await failureOf(failed.hub.get(id, via)), 'Unavailable');
  assert.equal(failed.waits, []);
});

test('reports how modules authenticate, and who manages them', async () => {
  const body = { ...module, managedBy: 'me', authentication: { type: 'selfSigned' } };
  const found = await hubOf({ body }).hub.get(id, via);
  assert.equal([found?.managedBy, found?.authentication], ['me', 'selfSigned']);
});

test('refuses a response that is not a list, and a module without a name', async () => {
  for (const body of [undefined, {}, 'x', [null], [{ moduleId: 'a' }], [{ generationId: '1' }]]) {
    assert.is(await failureOf(hubOf({ body }).hub.list(via)), 'Unavailable', JSON.stringify(body));
  }
  const [listed] = await hubOf({ body: [module] }).hub.list(via);
  assert.is(listed?.moduleId, id);
});

test.run();
