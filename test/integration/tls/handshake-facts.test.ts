/** What a failed handshake tells: the alert of the server, the topmost certificate that it sent. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import { soon } from '../../support/deadline.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';

const test = suite<{ pki?: Pki; client?: HttpsClient }>('TLS handshake facts');

test.before(async (context) => {
  context.pki = await Pki.create();
  context.client = new HttpsClient();
});

test.after(async ({ client, pki }) => {
  for (const part of [client, pki]) await part?.[Symbol.asyncDispose]();
});

function partsOf({ pki, client }: { pki?: Pki; client?: HttpsClient }) {
  if (!pki || !client) throw new Error('the rig was not set up');
  return { pki, client };
}

function requestTo(url: string, ca: string): HttpsRequest {
  return { method: 'GET', url, ca, requestId: 'test', timeoutMs: 20_000 };
}

async function failureOf(client: HttpsClient, request: HttpsRequest): Promise<HttpsFailure> {
  const error: unknown = await client.request(request, soon()).then(String, (one: unknown) => one);
  assert.instance(error, ServiceError);
  const { cause } = error as ServiceError;
  assert.instance(cause, HttpsFailure);
  return cause as HttpsFailure;
}

for (const [version, alert] of [
  ['TLSv1.2', 40],
  ['TLSv1.3', 116],
] as const) {
  test(`has the number of the alert that ends a handshake of ${version}`, async (context) => {
    const { pki, client } = partsOf(context);
    await using server = await MutualTlsServer.start(pki, {
      minVersion: version,
      maxVersion: version,
    });
    const failure = await failureOf(client, requestTo(server.url(), pki.root.certificate));
    assert.is(failure.kind, 'connection');
    assert.is(failure.facts.alert, alert);
  });
}

test('names the root that a server sent and that is not trusted', async (context) => {
  const { pki, client } = partsOf(context);
  await using other = await Pki.create();
  const { key, certificate } = await pki.issue('chained', ['localhost']);
  const cert = certificate + pki.root.certificate;
  await using server = await MutualTlsServer.start(pki, { key, cert, requestCert: false });
  const failure = await failureOf(client, requestTo(server.url(), other.root.certificate));
  assert.is(failure.kind, 'server-certificate');
  const root = new X509Certificate(pki.root.certificate);
  const fingerprint = root.fingerprint256.replaceAll(':', '').toLowerCase();
  const names = { subject: 'CN=root', issuer: 'CN=root' };
  assert.equal(failure.facts.topmost, { ...names, fingerprint, isSelfIssued: true });
});

test('names the issuer of what a server sent without its root', async (context) => {
  const { pki, client } = partsOf(context);
  // or OpenSSL appends the root that it trusts
  await using server = await MutualTlsServer.start(pki, { requestCert: false, ca: [] });
  const { ca: _, ...trusting } = requestTo(server.url(), '');
  const { facts } = await failureOf(client, trusting);
  assert.is(facts.topmost?.subject, 'CN=server');
  assert.is(facts.topmost?.issuer, 'CN=root');
  assert.not(facts.topmost?.isSelfIssued);
});

test('opens a connection for one exchange alone, without an earlier session', async (context) => {
  const { pki, client } = partsOf(context);
  await using server = await MutualTlsServer.start(pki, { requestCert: false });
  const pooled = requestTo(server.url(), pki.root.certificate);
  const alone = { ...pooled, isNewConnection: true };
  for (const request of [pooled, pooled, alone, alone]) await client.request(request, soon());
  assert.equal(
    server.requests.map(({ connection, resumed }) => [connection, resumed]),
    [
      [0, false],
      [0, false],
      [1, false],
      [2, false],
    ],
  );
});

/** A TCP server that sends some bytes and closes. */
async function closing(text: string): Promise<Server> {
  const server = createServer((socket) => void socket.on('error', () => undefined).end(text));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('reports a connection that is closed without a byte', async (context) => {
  const { pki, client } = partsOf(context);
  const server = await closing('');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const url = `https://localhost:${port}/`;
  const failure = await failureOf(client, requestTo(url, pki.root.certificate));
  server.close();
  assert.equal(
    [failure.kind, failure.code, failure.facts.alert],
    ['connection', 'ECONNRESET', undefined],
  );
});

test('tells half a response from a connection that is closed without any', async (context) => {
  const { pki, client } = partsOf(context);
  await using server = await MutualTlsServer.start(pki, { requestCert: false }, (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setImmediate(() => response.destroy());
  });
  const failure = await failureOf(client, requestTo(server.url(), pki.root.certificate));
  assert.equal([failure.kind, failure.code], ['response', 'ECONNRESET']);
});

test.run();
