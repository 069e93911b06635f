/** The registry of a hub, as its client sees it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../src/errors.ts';
import type { CloudAnswer, CloudRequest } from '../../../src/identity/cloud.ts';
import { Hub } from '../../../src/identity/hub.ts';
import { parseModuleId } from '../../../src/ids.ts';

const test = suite('hub');
const id = parseModuleId('$edgeAgent');
const via = { requestId: 'r', signal: new AbortController().signal };
const module = { moduleId: id, generationId: '7', managedBy: null, etag: 'AAAA=' };
const keys = { primary: Buffer.alloc(32, 1), secondary: Buffer.alloc(32, 2) };

/** A hub that gives these answers, in order; what it was asked, and how long it was waited for. */
function hubOf(...answers: readonly Partial<CloudAnswer>[]) {
  const requests: CloudRequest[] = [];
  const waits: number[] = [];
  const left = [...answers];
  const cloud = {
    send: (request: CloudRequest): Promise<CloudAnswer> => {
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

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  return isServiceError(error) ? error.code : `no failure: ${String(error)}`;
}

test('names modules and devices as URLs do', async () => {
  const { hub, requests } = hubOf();
  await hub.get(id, via);
  const [{ url } = { url: '' }] = requests;
  const path = 'https://hub.example/devices/a%20b/modules/%24edgeAgent';
  assert.is(url, `${path}?api-version=2017-11-08-preview`);
});

const tags: readonly (readonly [string, Partial<CloudAnswer>, string])[] = [
  ['of the body', { body: module, etag: '"BBBB="' }, '"AAAA="'],
  ['of the body, in quotes', { body: { ...module, etag: '"AAAA="' } }, '"AAAA="'],
  ['of the header', { body: { ...module, etag: undefined }, etag: 'W/"BBBB="' }, '"BBBB="'],
  ['that is missing', { body: { ...module, etag: undefined } }, '*'],
  ['that is empty', { body: { ...module, etag: '""' } }, '*'],
  ['that is none', { body: { ...module, etag: 'a"b\r\nc: d' } }, '*'],
];
for (const [what, answer, sent] of tags) {
  test(`writes with the entity tag ${what}`, async () => {
    const { hub, requests } = hubOf(answer);
    const found = await hub.get(id, via);
    assert.is(found?.managedBy, '');
    await hub.setKeys({ moduleId: id, managedBy: 'x', etag: found?.etag ?? '' }, keys, via);
    await hub.delete({ moduleId: id, etag: found?.etag ?? '' }, via).catch(() => undefined);
    const written = requests.slice(1).map(({ headers }) => headers?.['if-match']);
    assert.equal(written, [sent, sent]);
  });
}

test('says that a module changed meanwhile', async () => {
  const stale = { status: 412, body: { Message: 'ErrorCode:PreconditionFailed;' } };
  const { hub } = hubOf(stale, stale);
  const named = { moduleId: id, managedBy: 'x', etag: 'AAAA=' };
  assert.is(await codeOf(hub.setKeys(named, keys, via)), 'Unavailable');
  assert.is(await codeOf(hub.delete(named, via)), 'Unavailable');
});

test('asks a busy hub again as soon as it says, a few times', async () => {
  const busy = (retryAfterS: number | undefined) => ({ status: 429, retryAfterS, body: {} });
  const soon = hubOf(busy(2), { ...busy(0), status: 503 });
  assert.is((await soon.hub.get(id, via))?.generationId, '7');
  assert.equal(soon.waits, [2000, 1000]);
  const always = hubOf(...Array.from({ length: 9 }, () => busy(2)));
  assert.is(await codeOf(always.hub.get(id, via)), 'Unavailable');
  assert.is(always.requests.length, 4);
  for (const retryAfterS of [undefined, 11, 3600]) {
    const late = hubOf(busy(retryAfterS));
    assert.is(await codeOf(late.hub.get(id, via)), 'Unavailable');
    assert.equal(late.waits, []);
  }
});

test('does not wait for a busy hub when its caller is gone', async () => {
  const cancel = new AbortController();
  const cloud = {
    send: (): Promise<CloudAnswer> => {
      setImmediate(() => cancel.abort(new ServiceError('Cancelled', 'by somebody')));
      return Promise.resolve({ status: 429, retryAfterS: 9, body: {} });
    },
  };
  const hub = new Hub(cloud, { hubHostname: 'h', deviceId: 'd' });
  const asked = hub.get(id, { requestId: 'r', signal: cancel.signal });
  assert.is(await codeOf(asked), 'Cancelled');
});

test('takes no list that is none, and no module without a name', async () => {
  for (const body of [undefined, {}, 'x', [null], [{ moduleId: 'a' }], [{ generationId: '1' }]]) {
    assert.is(await codeOf(hubOf({ body }).hub.list(via)), 'Unavailable', JSON.stringify(body));
  }
  const [listed] = await hubOf({ body: [module] }).hub.list(via);
  assert.is(listed?.moduleId, id);
});

test.run();
