/** Requests as real clients send them, byte by byte. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { genid, version, WorkloadApi } from '../../../../support/workload/api.ts';
import {
  RawClient,
  type RawResponse,
  rawRequest,
} from '../../../../support/workload/raw-client.ts';

const test = suite<{ api: WorkloadApi }>('requests');
const bundle = `GET /trust-bundle?${version}`;
const sign = `POST ${genid}/sign?${version}`;
const body = JSON.stringify({ keyId: 'primary', algo: 'HMACSHA256', data: 'AAAA' });

test.before(async (context) => {
  context.api = await WorkloadApi.open();
});

test.after(async ({ api }) => {
  await api[Symbol.asyncDispose]();
});

/** The response to these bytes, sent in these pieces. */
async function responseTo(
  api: WorkloadApi,
  ...pieces: readonly (string | Buffer)[]
): Promise<RawResponse> {
  using client = new RawClient(api.socketPath);
  for (const piece of pieces) {
    client.send(piece);
    await sleep(5);
  }
  return await client.response();
}

function assertFailure({ statusLine, headers, body: text }: RawResponse, status: number): void {
  assert.match(statusLine, new RegExp(`^HTTP/1\\.1 ${status} [A-Z][a-z]+$`));
  assert.is(headers.get('content-type'), 'application/json');
  const { message } = JSON.parse(text) as { message: unknown }; // checked below
  assert.type(message, 'string');
  assert.ok(message !== '');
}

const chunked = body
  .split('')
  .map((letter) => `1\r\n${letter}\r\n`)
  .join('');
const served: Readonly<Record<string, readonly (string | Buffer)[]>> = {
  'without Host': [`${bundle} HTTP/1.1\r\n\r\n`],
  'with two Hosts': [`${bundle} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`],
  'of HTTP/1.0': [`${bundle} HTTP/1.0\r\n\r\n`],
  'of HTTP/1.0 with a body': [`${sign} HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
  'with headers in lower case': [
    `${sign} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  ],
  'with headers in upper case and without blanks': [
    `${sign} HTTP/1.1\r\nHOST:a\r\nCONTENT-LENGTH:${body.length}\r\n\r\n${body}`,
  ],
  'in chunks of one letter': [
    `${sign} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}0\r\n\r\n`,
  ],
  'in chunks with extensions and a trailer': [
    `${sign} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n${body.length.toString(16)};a=b\r\n${body}\r\n0\r\nX: y\r\n\r\n`,
  ],
  'in packets of one byte': [...Buffer.from(`${bundle} HTTP/1.1\r\nHost: a\r\n\r\n`)].map((byte) =>
    Buffer.from([byte]),
  ),
  'with its body in two packets': [
    `${sign} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`,
    body.slice(0, 7),
    body.slice(7),
  ],
  'with an empty line before it': [`\r\n${bundle} HTTP/1.1\r\nHost: a\r\n\r\n`],
  'with an absolute target': [
    `GET http://localhost/trust-bundle?${version} HTTP/1.1\r\nHost: a\r\n\r\n`,
  ],
  'with an absolute target in upper case': [
    `GET HTTP://WORKLOAD.SOCK:80/trust-bundle?${version} HTTP/1.1\r\nHost: a\r\n\r\n`,
  ],
  'with a version twice, the last a known one': [
    `GET /trust-bundle?api-version=1&${version} HTTP/1.1\r\nHost: a\r\n\r\n`,
  ],
  'with unknown parameters': [`GET /trust-bundle?x=1&${version}&y HTTP/1.1\r\nHost: a\r\n\r\n`],
  'with a body where none is wanted': [
    `${bundle} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}`,
  ],
  'that offers to upgrade': [
    `${bundle} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  ],
};

for (const [name, pieces] of Object.entries(served)) {
  test(`serves a request ${name}`, async ({ api }) => {
    const { statusLine, headers, body: text } = await responseTo(api, ...pieces);
    assert.is(statusLine, 'HTTP/1.1 200 OK');
    assert.is(headers.get('content-type'), 'application/json');
    assert.ok(JSON.parse(text));
  });
}

const post = `POST /absent?${version} HTTP/1.1\r\nHost: a\r\n`;
const refused: Readonly<Record<string, readonly [number, string]>> = {
  'an unknown path': [404, `GET /absent?${version} HTTP/1.1\r\nHost: a\r\n\r\n`],
  'a request without a version': [400, 'GET /trust-bundle HTTP/1.1\r\nHost: a\r\n\r\n'],
  'a version twice, the last an unknown one': [
    400,
    `GET /trust-bundle?${version}&api-version=1 HTTP/1.1\r\nHost: a\r\n\r\n`,
  ],
  'another method': [400, `DELETE /trust-bundle?${version} HTTP/1.1\r\nHost: a\r\n\r\n`],
  'a tunnel': [400, 'CONNECT hub:443 HTTP/1.1\r\nHost: hub\r\n\r\n'],
  'an unknown method': [400, 'SIGN / HTTP/1.1\r\nHost: a\r\n\r\n'],
  'another protocol': [400, '\u0016\u0003\u0001 hello\r\n\r\n'],
  'HTTP/2': [400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  'another expectation': [417, `${bundle} HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n`],
  'a malformed length': [400, `${post}Content-Length: x\r\n\r\n`],
  'two lengths': [400, `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
  'a length and chunks': [
    400,
    `${post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  ],
  'malformed chunks': [
    400,
    `${sign} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  ],
  'a head that is too long': [
    431,
    `GET /trust-bundle HTTP/1.1\r\nX: ${'x'.repeat(64 << 10)}\r\n\r\n`,
  ],
  'a target that is too long': [414, `GET /${'x'.repeat(70 << 10)} HTTP/1.1\r\n\r\n`],
  // as a path it would be an unknown one
  'malformed percent-encoding': [400, `GET /trust-bundle/%ZZ?${version} HTTP/1.1\r\n\r\n`],
};

for (const [name, [status, bytes]] of Object.entries(refused)) {
  test(`responds to ${name} with ${status}, a message and a one-word reason phrase`, async ({
    api,
  }) => {
    assertFailure(await responseTo(api, bytes), status);
  });
}

test('sends 100 only after version, path and method are accepted', async ({ api }) => {
  const expecting = { headers: { Expect: '100-continue', 'Content-Length': String(body.length) } };
  using client = new RawClient(api.socketPath);
  client.send(rawRequest(sign, expecting));
  assert.is((await client.response()).statusLine, 'HTTP/1.1 100 Continue');
  client.send(body);
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  client.send(rawRequest(bundle));
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  const lines = new Map([
    [`POST /absent?${version}`, 404],
    [`POST ${genid}/sign`, 400],
    [`POST ${genid}/sign?api-version=1`, 400],
    [`PUT ${genid}/sign?${version}`, 400],
  ]);
  for (const [line, status] of lines) {
    assertFailure(await responseTo(api, rawRequest(line, expecting)), status);
  }
});

test('accepts a body that is sent without waiting for 100', async ({ api }) => {
  const headers = { Expect: '100-Continue' };
  using client = new RawClient(api.socketPath);
  client.send(rawRequest(sign, { headers, body }));
  assert.is((await client.response()).statusLine, 'HTTP/1.1 100 Continue');
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
});

test('refuses a body before it was read, and serves the next request', async ({ api }) => {
  const large = { body: 'x'.repeat(1 << 20) };
  const lines = new Map([
    [`POST /absent?${version}`, 404],
    [`POST ${genid}/sign`, 400],
    [`PUT ${genid}/sign?${version}`, 400],
    [sign, 422],
  ]);
  for (const [line, status] of lines) {
    using client = new RawClient(api.socketPath);
    client.send(rawRequest(line, large));
    await client.untilSent();
    assertFailure(await client.response(), status);
    client.send(rawRequest(bundle));
    assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK', line);
    assert.is(client.errorCode, undefined);
  }
});

test('responds before a delayed body, and reads it afterwards', async ({ api }) => {
  using client = new RawClient(api.socketPath);
  const headers = { 'Content-Length': '4' };
  client.send(rawRequest(`POST /absent?${version}`, { headers }));
  assertFailure(await client.response(), 404);
  client.send('true', rawRequest(bundle));
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
});

test('refuses a body that is too long, with its length or in chunks', async ({ api }) => {
  const text = 'x'.repeat(3 << 20);
  const chunk = `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
  for (const request of [
    rawRequest(sign, { body: text }),
    rawRequest(sign, { headers: { 'Transfer-Encoding': 'chunked' } }) + chunk,
  ]) {
    using client = new RawClient(api.socketPath);
    client.send(request);
    await client.untilSent();
    assertFailure(await client.response(), 413);
    assert.is(client.errorCode, undefined);
  }
});

test('reads only a limited part of a body that it refuses', async ({ api }) => {
  using client = new RawClient(api.socketPath);
  const bytes = 64 << 20;
  client.send(
    rawRequest(`POST /absent?${version}`, { headers: { 'Content-Length': String(bytes) } }),
  );
  client.send(Buffer.alloc(bytes));
  assertFailure(await client.response(), 404);
  await client.untilEnd();
  assert.match(String(client.errorCode), /^(EPIPE|ECONNRESET)$/);
});

test('refuses a body that is not sent in time, or that is cut off', async ({ api }) => {
  const head = rawRequest(sign, { headers: { 'Content-Length': '10' } });
  const late = await responseTo(api, `${head}{`);
  assertFailure(late, 408);
  assert.is(late.headers.get('connection'), 'close');
  using client = new RawClient(api.socketPath);
  client.send(`${head}{`);
  client.socket.end();
  assertFailure(await client.response(), 400);
  await client.untilEnd();
});

test('responds to a head that is cut off', async ({ api }) => {
  using client = new RawClient(api.socketPath);
  client.send('GET /trust-bundle HT');
  client.socket.end();
  assertFailure(await client.response(), 400);
  await client.untilEnd();
});

test('serves the requests before a malformed one', async ({ api }) => {
  using client = new RawClient(api.socketPath);
  client.send(rawRequest(bundle), rawRequest(`GET /absent?${version}`), 'what is this?\r\n\r\n');
  assert.is((await client.response()).statusLine, 'HTTP/1.1 200 OK');
  assertFailure(await client.response(), 404);
  assertFailure(await client.response(), 400);
  await client.untilEnd();
  assert.is(client.unread, '');
});

test('records malformed requests', async ({ api }) => {
  api.records.length = 0;
  assertFailure(await responseTo(api, 'what is this?\r\n\r\n'), 400);
  assert.equal(
    api.records.map(({ status, route }) => [status, route]),
    [[400, '']],
  );
});

test.run();
