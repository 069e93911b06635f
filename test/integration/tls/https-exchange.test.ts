/** One exchange of the HTTPS client without a certificate: what is accepted, refused and cancelled. */
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { HttpsClient } from '../../../src/https/https-client.ts';
import { HttpsFailure } from '../../../src/https/https-failure.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import { runCommand } from '../../support/command.ts';
import { deadline, until } from '../../support/deadline.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';
import { TunnelProxy } from '../../support/tls/tunnel-proxy.ts';

interface Rig {
  readonly pki: Pki;
  readonly client: HttpsClient;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

const never = new AbortController().signal;
const anyClient = { requestCert: false, rejectUnauthorized: false };
const test = suite<Partial<Rig>>('HTTPS exchange');

test.before(async (context) => {
  Object.assign(context, { pki: await Pki.create(), client: new HttpsClient() });
});

test.after(async ({ client, pki }) => {
  for (const part of [client, pki]) await part?.[Symbol.asyncDispose]();
});

function rig({ pki, client }: Partial<Rig>): Rig {
  if (!pki || !client) throw new Error('the rig was not set up');
  return { pki, client };
}

const serve = ({ pki }: Rig, listener?: Listener) =>
  MutualTlsServer.start(pki, anyClient, listener);

function get({ pki }: Rig, url: string): HttpsRequest {
  return { method: 'GET', url, ca: pki.root.certificate, requestId: 'test', timeoutMs: 20_000 };
}

async function errorOf(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await deadline(25_000, promise, 'the failure').catch((error: unknown) => error);
  assert.instance(outcome, ServiceError);
  return outcome as ServiceError;
}

async function failureOf(promise: Promise<unknown>): Promise<HttpsFailure> {
  const { code, cause } = await errorOf(promise);
  assert.is(code, 'Unavailable');
  assert.instance(cause, HttpsFailure);
  return cause as HttpsFailure;
}

test('follows no redirect', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts, (_, response) => {
    response.writeHead(302, { location: '/other' }).end('there');
  });
  const { status, headers, body } = await parts.client.request(get(parts, server.url()), never);
  assert.equal([status, headers['location'], String(body)], [302, '/other', 'there']);
  assert.is(server.requests.length, 1);
});

test('accepts a body of 1 MiB, and no octet more unless requested', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts, ({ url = '' }, response) => {
    response.end(Buffer.alloc(Number(url.slice(1))));
  });
  const ask = (size: number, limits: Partial<HttpsRequest> = {}) =>
    parts.client.request({ ...get(parts, server.url(`/${size}`)), ...limits }, never);
  assert.is((await ask(1 << 20)).body.length, 1 << 20);
  const { kind, code } = await failureOf(ask((1 << 20) + 1));
  assert.equal([kind, code], ['response', 'EMSGSIZE']);
  const maxBodyBytes = (1 << 20) + 1;
  assert.is((await ask(maxBodyBytes, { maxBodyBytes })).body.length, maxBodyBytes);
});

test('does not wait for the end of a body that is too large', async (context) => {
  const parts = rig(context);
  let ended = 0;
  await using server = await serve(parts, (_, response) => {
    const more = (): void => void response.write(Buffer.alloc(64 << 10));
    response.on('drain', more).on('close', () => ended++);
    more();
  });
  const { kind, code } = await failureOf(parts.client.request(get(parts, server.url()), never));
  assert.equal([kind, code], ['response', 'EMSGSIZE']);
  await until(10_000, 'the connection to be closed', () => ended === 1);
});

test('refuses an incomplete body', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts, (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('x'.repeat(10), () => response.socket?.destroy());
  });
  const { code } = await failureOf(parts.client.request(get(parts, server.url()), never));
  assert.is(code, 'ECONNRESET');
});

for (const [what, head] of [
  ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n'],
  ['a length beside chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n'],
  ['a header without a name', ': x\r\ncontent-length: 5\r\n'],
] as const) {
  test(`refuses a response with ${what}`, async (context) => {
    const parts = rig(context);
    await using server = await serve(parts, ({ socket }) => {
      socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n5\r\nhello\r\n0\r\n\r\n`);
    });
    const { code } = await failureOf(parts.client.request(get(parts, server.url()), never));
    assert.match(code, /^HPE_/);
  });
}

test('closes the connection to the server on a timeout or a cancellation', async (context) => {
  const parts = rig(context);
  let closed = 0;
  await using server = await serve(parts, ({ socket }) => {
    socket.once('close', () => closed++);
  });
  const stop = new AbortController();
  const cancelled = errorOf(parts.client.request(get(parts, server.url()), stop.signal));
  await until(10_000, 'the request', () => server.requests.length === 1);
  stop.abort();
  assert.is((await cancelled).code, 'Cancelled');
  await until(10_000, 'its connection to be closed', () => closed === 1);
  const late = { ...get(parts, server.url()), timeoutMs: 500 };
  assert.is((await failureOf(parts.client.request(late, never))).code, 'ETIMEDOUT');
  await until(10_000, 'the other one to be closed', () => closed === 2);
});

test('does not reuse a connection for a request with other roots', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts);
  await using other = await Pki.create();
  await parts.client.request(get(parts, server.url()), never);
  const request = { ...get(parts, server.url()), ca: other.root.certificate };
  assert.is((await failureOf(parts.client.request(request, never))).kind, 'server-certificate');
  assert.is(server.requests.length, 1);
});

for (const [method, repeats] of [
  ['GET', true],
  ['PUT', true],
  ['DELETE', true],
  ['POST', false],
  ['PATCH', false],
] as const) {
  test(`${repeats ? 'retries' : 'does not retry'} a ${method} that a reused connection lost`, async (context) => {
    const parts = rig(context);
    await using server = await serve(parts, ({ url, socket }, response) => {
      if (url === '/drop' && server.requests.length === 2) socket.destroy();
      else response.end('hello');
    });
    await parts.client.request(get(parts, server.url()), never);
    const lost = parts.client.request({ ...get(parts, server.url('/drop')), method }, never);
    if (repeats) assert.is((await lost).status, 200);
    else assert.is((await failureOf(lost)).code, 'ECONNRESET');
    assert.is(server.requests.length, repeats ? 3 : 2);
  });
}

test('retries nothing that a new connection lost', async (context) => {
  const parts = rig(context);
  await using server = await serve(parts, ({ socket }) => void socket.destroy());
  const { code } = await failureOf(parts.client.request(get(parts, server.url()), never));
  assert.is(code, 'ECONNRESET');
  assert.is(server.requests.length, 1);
});

test('sends the server no password and no headers of the proxy', async (context) => {
  const parts = rig(context);
  const seen: string[] = [];
  await using server = await serve(parts, ({ rawHeaders }, response) => {
    seen.push(...rawHeaders);
    response.end('hello');
  });
  await using proxy = await TunnelProxy.start('us@er:pass word');
  const through = {
    ...get(parts, server.url()),
    proxy: `http://us%40er:pass%20word@127.0.0.1:${proxy.port}`,
  };
  assert.is((await parts.client.request(through, never)).status, 200);
  assert.not.match(seen.join('\n'), /proxy/i);
  assert.is(proxy.credentials.length, 1);
});

test('connects to a proxy by an IPv6 address', async (context) => {
  const parts = rig(context);
  const proxy = await TunnelProxy.start('u:p');
  const { port } = proxy;
  await proxy[Symbol.asyncDispose]();
  const through = { ...get(parts, 'https://localhost:1/'), proxy: `http://u:p@[::1]:${port}` };
  const { message } = await errorOf(parts.client.request(through, never));
  assert.match(message, `([::1]:${port} E`);
});

test('explains a failure to the user, with the host', async (context) => {
  const parts = rig(context);
  await using other = await Pki.create();
  await using server = await serve(parts);
  const request = { ...get(parts, server.url()), ca: other.root.certificate };
  const { message } = await errorOf(parts.client.request(request, never));
  const code = 'SELF_SIGNED_CERT_IN_CHAIN';
  const wanted = `localhost:${server.port}: the certificate of the server does not verify: ${code}`;
  assert.is(message, wanted);
});

/** A system whose OpenSSL is configured to accept every version. */
const lax = `nodejs_conf = init
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = lax
[lax]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
`;

/** Prints the TLS version of a plain request, and that of the client, or why there is none. */
const askTwice = (module: string): string => `
import { request } from 'node:https';
import { AgentPool } from ${JSON.stringify(module)};
const [, url, ca] = process.argv;
const ask = (options) => new Promise((resolve) => {
  const outgoing = request(url, options).on('error', ({ code }) => resolve(code)).end();
  outgoing.on('response', (incoming) => resolve(incoming.resume().socket.getProtocol()));
});
console.log(await ask({ ca, minVersion: 'TLSv1' }), await ask({ agent: new AgentPool(() => undefined).get({ ca }) }));
process.exit();`;

test('uses no version below TLS 1.2, whatever the system allows', async (context) => {
  const { pki } = rig(context);
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  await using server = await MutualTlsServer.start(pki, { ...anyClient, ...old });
  const configuration = join(pki.directory, 'lax.cnf');
  await writeFile(configuration, lax);
  const script = askTwice(new URL('../../../src/https/agent-pool.js', import.meta.url).href);
  const words = ['--input-type=module', '-e', script, server.url(), pki.root.certificate];
  const env = { OPENSSL_CONF: configuration };
  const { stdout, stderr } = await runCommand(process.execPath, words, { env, timeoutMs: 30_000 });
  assert.match(stdout.toString(), /^TLSv1\.1 E[A-Z0-9_]+\n$/, stderr);
});

test.run();
