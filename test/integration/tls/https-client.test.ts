import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { ClientCertificate, HttpsRequest } from '../../../src/https/https-request.ts';
import { deadline, until } from '../../support/deadline.ts';
import { codeIn } from '../../support/failure.ts';
import { ServedKeys, type TestAlgorithm } from '../../support/keys/served-keys.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';
import { SilentListener } from '../../support/tls/silent-listener.ts';
import { TunnelProxy } from '../../support/tls/tunnel-proxy.ts';

interface Rig {
  readonly keys: ServedKeys;
  readonly pki: Pki;
  readonly client: HttpsClient;
  /** The certificate of each key. */
  readonly chains: ReadonlyMap<string, string>;
}

type DeviceRequest = HttpsRequest & { readonly clientCertificate: ClientCertificate };

const never = new AbortController().signal;
const matrix: readonly TestAlgorithm[] = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072'];
const test = suite<Partial<Rig>>('HTTPS client');

test.before(async (context) => {
  const keys = await ServedKeys.start();
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = keys.address; // where the provider connects
  const pki = await Pki.create();
  const chains = new Map<string, string>();
  for (const algorithm of matrix) {
    const { spki } = await keys.create(algorithm, algorithm);
    chains.set(algorithm, await pki.certify(algorithm, spki));
  }
  Object.assign(context, { keys, pki, chains, client: new HttpsClient() });
});

test.after(async ({ keys, pki, client }) => {
  for (const part of [client, keys, pki]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ keys }) => keys?.calls.clear());

/** The parts that `before` created. */
function rig({ keys, pki, client, chains }: Partial<Rig>): Rig {
  if (!keys || !pki || !client || !chains) throw new Error('the rig was not set up');
  return { keys, pki, client, chains };
}

function requestTo({ pki, keys, chains }: Rig, url: string, keyId = 'ec-p256'): DeviceRequest {
  const clientCertificate = {
    chainPem: chains.get(keyId) ?? '',
    keyId,
    spki: keys.get(keyId).spki,
  };
  const ca = pki.root.certificate;
  return { method: 'GET', url, ca, clientCertificate, requestId: 'test', timeoutMs: 20_000 };
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  return error instanceof Error ? error.message : '';
}

async function failureOf(promise: Promise<unknown>): Promise<HttpsFailure> {
  const error: unknown = await promise.catch((reason: unknown) => reason);
  assert.instance(error, ServiceError);
  const { code, cause } = error as ServiceError;
  assert.is(code, 'Unavailable');
  assert.instance(cause, HttpsFailure);
  return cause as HttpsFailure;
}

for (const [signature, mechanism] of [
  ['RSA+SHA256', 'rsa-pkcs1-sha256'],
  ['RSA+SHA384', 'rsa-pkcs1-sha384'],
  ['RSA-PSS+SHA512', 'rsa-pss-sha512'],
] as const) {
  test(`signs for a server that accepts only ${signature}`, async (context) => {
    const parts = rig(context);
    const options = { maxVersion: 'TLSv1.2', sigalgs: `${signature}:ECDSA+SHA256` } as const;
    await using server = await MutualTlsServer.start(parts.pki, options);
    await parts.client.request(requestTo(parts, server.url(), 'rsa-2048'), never);
    const [call] = await parts.keys.calls.all();
    assert.is(call?.mechanism, mechanism);
  });
}

test('reuses connections, and resumes sessions without a signature', async (context) => {
  const parts = rig(context);
  const close = new Set(['/1', '/2']);
  await using server = await MutualTlsServer.start(parts.pki, {}, (request, response) => {
    if (close.has(request.url ?? '')) response.setHeader('connection', 'close');
    response.end('hello');
  });
  const request = requestTo(parts, server.url());
  for (const path of ['/0', '/1', '/2', '/3']) {
    await parts.client.request({ ...request, url: server.url(path) }, never);
  }
  assert.equal(
    server.requests.map(({ connection }) => connection),
    [0, 0, 1, 2],
  );
  assert.equal(
    server.requests.map(({ resumed }) => resumed),
    [false, false, true, true],
  );
  assert.is((await parts.keys.calls.all()).length, 1);
});

test('sends a body and headers, and returns a status, headers and bytes', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki, {}, (request, response) => {
    response.writeHead(412, { 'x-echo': request.headers['x-note'], 'set-cookie': ['a', 'b'] });
    request.pipe(response);
  });
  const request = requestTo(parts, server.url());
  const body = Buffer.from([0, 255, 10]);
  const put = { ...request, method: 'PUT', headers: { 'x-note': 'n' }, body };
  const response = await parts.client.request(put, never);
  assert.is(response.status, 412);
  assert.is(response.headers['x-echo'], 'n');
  assert.is(response.headers['set-cookie'], 'a, b');
  assert.ok(Math.abs(Date.parse(response.headers['date'] ?? '') - Date.now()) < 60_000);
  assert.is(Buffer.compare(response.body, body), 0);
});

test('retries a PUT, but no POST, when a reused connection turns out to be closed', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki, {}, (request, response) => {
    if (request.url === '/drop' && server.requests.length % 2 === 0) request.socket.destroy();
    else response.end('hello');
  });
  const request = requestTo(parts, server.url('/'));
  const drop = { ...request, url: server.url('/drop') };
  await parts.client.request(request, never);
  assert.is((await parts.client.request({ ...drop, method: 'PUT' }, never)).status, 200);
  await parts.client.request({ ...request, method: 'PUT' }, never);
  await parts.client.request({ ...request, method: 'PUT' }, never);
  const { code } = await failureOf(parts.client.request({ ...drop, method: 'POST' }, never));
  assert.is(code, 'ECONNRESET');
});

test('reports why the certificate of a server does not verify', async (context) => {
  const parts = rig(context);
  await using other = await Pki.create();
  await using server = await MutualTlsServer.start(parts.pki);
  const request = requestTo(parts, server.url());
  const codeOf = async (change: Partial<HttpsRequest>): Promise<string> => {
    const failure = await failureOf(parts.client.request({ ...request, ...change }, never));
    assert.is(failure.kind, 'server-certificate');
    return failure.code;
  };
  assert.is(await codeOf({ ca: other.root.certificate }), 'SELF_SIGNED_CERT_IN_CHAIN');
  const url = `https://127.0.0.1:${server.port}/`;
  assert.is(await codeOf({ url }), 'ERR_TLS_CERT_ALTNAME_INVALID');
  const { key, certificate } = await parts.pki.issue('expired', ['localhost'], 0);
  await using expired = await MutualTlsServer.start(parts.pki, { key, cert: certificate });
  await delay(1100);
  assert.is(await codeOf({ url: expired.url() }), 'CERT_HAS_EXPIRED');
});

test('verifies servers whatever the environment', async (context) => {
  const parts = rig(context);
  await using other = await Pki.create();
  await using server = await MutualTlsServer.start(parts.pki);
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  try {
    await using client = new HttpsClient();
    const request = { ...requestTo(parts, server.url()), ca: other.root.certificate };
    assert.is((await failureOf(client.request(request, never))).kind, 'server-certificate');
  } finally {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  }
});

test('reports that its own certificate or key cannot be used', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const request = requestTo(parts, server.url());
  const { chainPem, spki } = request.clientCertificate;
  const failureWith = (clientCertificate: ClientCertificate): Promise<HttpsFailure> =>
    failureOf(parts.client.request({ ...request, clientCertificate }, never));

  const unknown = await failureWith({ chainPem, spki, keyId: 'unknown' });
  assert.is(unknown.kind, 'client-certificate');
  assert.is(unknown.code, 'org.iotedge.Error.NotFound');
  assert.match(unknown.message, 'no key "unknown"');

  const other = parts.keys.get('rsa-2048').spki;
  const mismatched = await failureWith({ chainPem, spki: other, keyId: 'rsa-2048' });
  assert.is(mismatched.kind, 'client-certificate');
  const invalid: HttpsFailure = await failureWith({ chainPem, spki, keyId: '../x' });
  assert.is(invalid.kind, 'client-certificate');
  const replaced = await failureWith({ chainPem, spki, keyId: 'rsa-2048' });
  assert.is(replaced.kind, 'client-certificate');
});

test('reports that a server refused its certificate', async (context) => {
  const parts = rig(context);
  await using other = await Pki.create();
  const ca = other.root.certificate;
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { ca, minVersion: version, maxVersion: version };
    await using server = await MutualTlsServer.start(parts.pki, options);
    const request = requestTo(parts, server.url());
    const { kind, code } = await failureOf(parts.client.request(request, never));
    assert.is(kind, 'connection');
    assert.match(code, /^(ERR_SSL_TLSV1_ALERT_UNKNOWN_CA|ECONNRESET|EPIPE)$/);
  }
});

test('reports the reason of a failed connection', async (context) => {
  const parts = rig(context);
  const codeOf = async (url: string): Promise<string> => {
    const failure = await failureOf(parts.client.request(requestTo(parts, url), never));
    assert.is(failure.kind, 'connection');
    return failure.code;
  };
  const server = await MutualTlsServer.start(parts.pki);
  const url = server.url();
  await server[Symbol.asyncDispose]();
  assert.is(await codeOf(url), 'ECONNREFUSED');
  const addressed = `127.0.0.1:${new URL(url).port} ECONNREFUSED`;
  assert.match(await messageOf(parts.client.request(requestTo(parts, url), never)), addressed);
  await using old = await MutualTlsServer.start(parts.pki, {
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1.1',
  });
  assert.is(await codeOf(old.url()), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
});

test('reports the address that timed out', async (context) => {
  const parts = rig(context);
  await using listener = await SilentListener.start();
  const request = requestTo(parts, `https://127.0.0.1:${listener.port}/`);
  const late = parts.client.request({ ...request, timeoutMs: 1000 }, never);
  assert.match(await messageOf(late), `ETIMEDOUT (127.0.0.1:${listener.port} no response)`);
});

test('refuses a response that is too large', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki, {}, (_, response) => {
    response.end(Buffer.alloc(1001));
  });
  const request = { ...requestTo(parts, server.url()), maxBodyBytes: 1000 };
  const { kind, code } = await failureOf(parts.client.request(request, never));
  assert.equal([kind, code], ['response', 'EMSGSIZE']);
  const enough = await parts.client.request({ ...request, maxBodyBytes: 1001 }, never);
  assert.is(enough.body.length, 1001);
});

test('does not wait for a response from a server that switched to another protocol', async (context) => {
  const parts = rig(context);
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
  await using server = await MutualTlsServer.start(parts.pki, {}, ({ socket }) => {
    socket.write(switched);
  });
  const request = parts.client.request(requestTo(parts, server.url()), never);
  const { kind, code } = await failureOf(request);
  assert.equal([kind, code], ['response', 'ECONNRESET']);
});

test('rejects at its timeout, and when it is cancelled', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki, {}, () => undefined);
  const request = requestTo(parts, server.url());
  const { code } = await failureOf(parts.client.request({ ...request, timeoutMs: 300 }, never));
  assert.is(code, 'ETIMEDOUT');
  const late = await failureOf(parts.client.request(request, AbortSignal.timeout(300)));
  assert.is(late.code, 'ETIMEDOUT');
  const stop = new AbortController();
  const stopped = parts.client.request(request, stop.signal).catch(codeIn);
  stop.abort();
  assert.is(await stopped, 'Cancelled');
  assert.is(await parts.client.request(request, AbortSignal.abort()).catch(codeIn), 'Cancelled');
});

test('does not block the main thread while the Keys service does not reply', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const pause = await parts.keys.pause();
  // the provider waits far longer: had the main thread signed, it would report that the Keys service timed out
  const request = { ...requestTo(parts, server.url()), timeoutMs: 2000 };
  const { code } = await failureOf(parts.client.request(request, never));
  assert.is(code, 'ETIMEDOUT');
  assert.is((await parts.keys.calls.all()).length, 1);
  pause[Symbol.dispose]();
  const again = await parts.client.request({ ...request, timeoutMs: 20_000 }, never);
  assert.is(again.status, 200);
});

test('processes many requests concurrently', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const requests = matrix.map((algorithm) => requestTo(parts, server.url(), algorithm));
  const many = Array.from({ length: 5 }, () => requests).flat();
  const responses = await Promise.all(
    many.map((request) => parts.client.request(request, new AbortController().signal)),
  );
  assert.ok(responses.every(({ status }) => status === 200));
  assert.is(server.requests.length, 20);
});

test('connects through a tunnel of a proxy, with its password', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  await using proxy = await TunnelProxy.start('user:pass word');
  const request = requestTo(parts, server.url());
  const through = (credentials: string): HttpsRequest => ({
    ...request,
    proxy: `http://${credentials}127.0.0.1:${proxy.port}`,
  });
  const response = await parts.client.request(through('user:pass%20word@'), never);
  assert.is(response.status, 200);
  assert.equal(proxy.targets, [`localhost:${server.port}`]);
  const refused = await failureOf(parts.client.request(through(''), never));
  assert.equal([refused.kind, refused.code], ['proxy', 'HTTP_407']);
  const { port } = proxy;
  await proxy[Symbol.asyncDispose]();
  const gone = { ...request, proxy: `http://u@127.0.0.1:${port}` };
  const failure = await failureOf(parts.client.request(gone, never));
  assert.equal([failure.kind, failure.code], ['proxy', 'ECONNREFUSED']);
});

test('connects to a proxy over TLS, and sends no password to another one', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const { key, certificate } = await parts.pki.issue('proxy', ['localhost']);
  await using proxy = await TunnelProxy.start('user:word', { key, cert: certificate });
  await using strangers = await Pki.create();
  const other = await strangers.issue('proxy', ['localhost']);
  const wrong = { key: other.key, cert: other.certificate };
  await using stranger = await TunnelProxy.start('user:word', wrong);
  const through = ({ port }: TunnelProxy): HttpsRequest => ({
    ...requestTo(parts, server.url()),
    proxy: `https://user:word@localhost:${port}`,
  });
  assert.is((await parts.client.request(through(proxy), never)).status, 200);
  assert.is(proxy.credentials.length, 1);
  const failure = await failureOf(parts.client.request(through(stranger), never));
  assert.equal([failure.kind, failure.code], ['proxy', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']);
  assert.equal(stranger.credentials, []);
});

test('formats an IPv6 address in brackets', async (context) => {
  const parts = rig(context);
  const server = await MutualTlsServer.start(parts.pki);
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const request = requestTo(parts, `https://[::1]:${port}/`);
  assert.match(await messageOf(parts.client.request(request, never)), `([::1]:${port} E`);
});

test('accepts only https URLs', async (context) => {
  const { client } = rig(context);
  for (const url of ['http://localhost/', 'localhost']) {
    const request = { method: 'GET', url, requestId: 'test', timeoutMs: 1000 };
    const code = await client.request(request, never).catch(codeIn);
    assert.is(code, 'InvalidArgs');
  }
});

test('closes while its thread waits for a signature, and another one signs after it', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const client = new HttpsClient();
  const { keys } = parts;
  const pause = await keys.pause();
  const failing = client.request(requestTo(parts, server.url()), never).catch(codeIn);
  await until(10_000, 'the signature', async () => (await keys.calls.all()).length > 0);
  await deadline(10_000, client[Symbol.asyncDispose](), 'the client to close');
  assert.is(await failing, 'Unavailable');
  pause[Symbol.dispose]();
  await using other = new HttpsClient();
  assert.is((await other.request(requestTo(parts, server.url()), never)).status, 200);
});

test('signs in another thread after one that was idle', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  await using client = new HttpsClient({ idleMs: 1 });
  for (let times = 0; times < 3; times++) {
    assert.is((await client.request(requestTo(parts, server.url()), never)).status, 200);
    await delay(50);
  }
  assert.is((await parts.keys.calls.all()).length, 3);
});

test('closes together with an idle thread that still waits for a signature', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const threads = async (): Promise<number> => (await readdir('/proc/self/task')).length;
  const before = await threads();
  const client = new HttpsClient({ idleMs: 1 });
  using _pause = await parts.keys.pause();
  const request = { ...requestTo(parts, server.url()), timeoutMs: 1000 };
  assert.is((await failureOf(client.request(request, never))).code, 'ETIMEDOUT');
  assert.is((await parts.keys.calls.all()).length, 1);
  await delay(50);
  assert.is(await threads(), before + 1);
  await deadline(10_000, client[Symbol.asyncDispose](), 'the client to close');
  assert.is(await threads(), before);
});

test('rejects requests once it is closed', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki, {}, () => undefined);
  const client = new HttpsClient();
  const pending = client.request(requestTo(parts, server.url()), never).catch(codeIn);
  await until(5000, 'the request to arrive', () => server.requests.length > 0);
  await client[Symbol.asyncDispose]();
  assert.is(await deadline(5000, pending, 'the request to fail'), 'Unavailable');
  const later = client.request(requestTo(parts, server.url()), never).catch(codeIn);
  assert.is(await later, 'Unavailable');
});

test('presents each of two certificates of one key on separate connections', async (context) => {
  const parts = rig(context);
  await using server = await MutualTlsServer.start(parts.pki);
  const request = requestTo(parts, server.url());
  const { spki } = request.clientCertificate;
  const chainPem = await parts.pki.certify('renewed', spki);
  const renewed = { ...request, clientCertificate: { ...request.clientCertificate, chainPem } };
  for (const one of [request, renewed, request]) await parts.client.request(one, never);
  const clients = server.requests.map(({ client }) => client);
  assert.equal(clients, ['ec-p256', 'renewed', 'ec-p256']);
});

test('signs for each connection with the id of the request that it was opened for', async (context) => {
  const all = rig(context);
  await using server = await MutualTlsServer.start(all.pki);
  const send = (url: string, requestId: string) =>
    all.client.request({ ...requestTo(all, url), requestId }, never);
  await send(server.url(), 'first');
  await send(server.url(), 'takes the connection of the first');
  await using another = await MutualTlsServer.start(all.pki);
  await send(another.url(), 'second');
  const ids = (await all.keys.calls.all()).map(({ requestId }) => requestId);
  assert.equal(ids, ['first', 'second']);
});

test.run();
