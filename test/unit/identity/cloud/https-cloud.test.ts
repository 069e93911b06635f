/** How responses of the cloud are interpreted. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import type { HttpsClient } from '../../../../src/https/https-client.ts';
import { HttpsFailure } from '../../../../src/https/https-failure.ts';
import type { HttpsRequest, HttpsResponse } from '../../../../src/https/https-request.ts';
import { NamedCertificates } from '../../../../src/identity/cloud/certificate-file.ts';
import type { CloudRequest } from '../../../../src/identity/cloud/cloud.ts';
import { HttpsCloud, retryAfterOf } from '../../../../src/identity/cloud/https-cloud.ts';
import { failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';

const test = suite('cloud over HTTPS');
const credential = { chainPem: 'chain', keyId: 'key', spki: Buffer.from('spki') };
const get: CloudRequest = { method: 'GET', url: 'https://hub.example/devices' };

/** A cloud that sends this response; records the requests and the observed dates. */
function cloudOf(
  response: Partial<HttpsResponse> | Error,
  { trustedCa = [], proxy }: { trustedCa?: readonly string[]; proxy?: string } = {},
) {
  const requests: HttpsRequest[] = [];
  const dates: Date[] = [];
  const request = async (sent: HttpsRequest): Promise<HttpsResponse> => {
    requests.push(sent);
    if (response instanceof Error) throw response;
    return { status: 200, headers: {}, body: Buffer.alloc(0), ...response };
  };
  const cloud = new HttpsCloud({
    https: { request } as unknown as HttpsClient, // only its requests are used
    settings: { trustedCa, timeoutMs: 7, proxy },
    files: new NamedCertificates(),
    credential: async () => credential,
    onDate: (date) => dates.push(date),
    userAgent: 'agent',
  });
  return { cloud, requests, dates };
}

test('accepts Retry-After in seconds or as a date, and nothing else', () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);
  for (const [header, seconds] of [
    [undefined, undefined],
    ['0', 0],
    ['17', 17],
    ['90000', 90_000],
    ['999999999', 999_999_999],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60],
    ['Fri, 02 Jan 2026 03:04:05 GMT', 0],
    ['Fri, 02 Jan 2026 03:03:05 GMT', 0],
    ['', undefined],
    ['soon', undefined],
    ['-5 s', undefined],
  ] as const) {
    assert.is(retryAfterOf(header, now), seconds, header);
  }
});

test('returns the status, the body, the entity tag and the error code of a response', async () => {
  const headers = { etag: '"a"', 'iothub-errorcode': 'QuotaExceeded', 'retry-after': '3' };
  const { cloud } = cloudOf({ status: 403, headers, body: Buffer.from('{"a":1}') });
  assert.equal(await cloud.send(get, via), {
    status: 403,
    retryAfterS: 3,
    errorCode: 'QuotaExceeded',
    etag: '"a"',
    body: { a: 1 },
  });
});

test('reads a date relative to the clock of the cloud, where it sends one', async () => {
  const date = 'Fri, 02 Jan 2026 03:04:05 GMT';
  const headers = { date, 'retry-after': 'Fri, 02 Jan 2026 03:04:35 GMT' };
  const { cloud, dates } = cloudOf({ headers });
  assert.is((await cloud.send(get, via)).retryAfterS, 30);
  assert.equal(dates, [new Date(date)]);
  const without = cloudOf({ headers: { date: 'today' } });
  await without.cloud.send(get, via);
  assert.equal(without.dates, []);
});

test('sends JSON with its content type, and no body where there is none', async () => {
  const { cloud, requests } = cloudOf({}, { proxy: 'http://p:1' });
  await cloud.send({ ...get, method: 'PUT', headers: { 'if-match': '*' }, body: { a: 'ä' } }, via);
  await cloud.send(get, via);
  const [put, plain] = requests;
  assert.equal([put?.method, put?.body], ['PUT', '{"a":"ä"}']);
  assert.equal(put?.headers, {
    accept: 'application/json',
    'user-agent': 'agent',
    'content-type': 'application/json; charset=utf-8',
    'if-match': '*',
  });
  assert.equal([plain?.method, plain?.body], ['GET', undefined]);
  assert.equal(plain?.headers, { accept: 'application/json', 'user-agent': 'agent' });
  for (const one of requests) {
    const { clientCertificate, requestId, timeoutMs, proxy, url } = one;
    assert.equal([clientCertificate, requestId], [credential, via.requestId]);
    assert.equal([timeoutMs, proxy, url], [7, 'http://p:1', get.url]);
  }
});

test('sends no request with unreadable roots', async () => {
  const { cloud, requests } = cloudOf({}, { trustedCa: ['/nonexistent/root.pem'] });
  const error: unknown = await cloud.send(get, via).catch((reason: unknown) => reason);
  assert.match(String(error), /cloud\.trusted_ca: ENOENT/);
  assert.is(await failureOf(cloud.send(get, via)), 'Unavailable');
  assert.is(requests.length, 0);
});

test('hints at trusted_ca only when verification of the server fails', async () => {
  for (const kind of [
    'server-certificate',
    'client-certificate',
    'proxy',
    'response',
    'connection',
  ] as const) {
    const cause = new HttpsFailure(kind, 'X', 'why');
    const { cloud } = cloudOf(new ServiceError('Unavailable', 'hub.example', { cause }));
    const error: unknown = await cloud.send(get, via).catch((reason: unknown) => reason);
    assert.is(await failureOf(cloud.send(get, via)), 'Unavailable');
    assert.is(String(error).includes('set cloud.trusted_ca'), kind === 'server-certificate', kind);
  }
});

test.run();
