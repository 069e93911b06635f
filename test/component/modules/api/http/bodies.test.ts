/** The order in which requests are refused, and the bodies of each method, as recorded of the original. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { HttpProblem } from '../../../../../src/modules/api/http/failure.ts';
import type { Route } from '../../../../../src/modules/api/http/route.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';
import { version } from '../../../../support/workload/api.ts';
import { RawClient, rawRequest } from '../../../../support/workload/raw-client.ts';

const test = suite<{ server: RoutesServer }>('request bodies by method');

const check = (body: unknown): void => {
  if (Reflect.get(Object(body), 'x') !== 1) throw new HttpProblem(422, 'x is not 1');
};
const respond: Route['respond'] = ({ body = 'absent' }) => ({ status: 200, json: { body } });
const admit: Route['admit'] = ({ name }) => {
  if (name === 'stranger') throw new ServiceError('AccessDenied', 'a stranger');
};
const settings = (path: readonly string[]) => (path.includes('settings') ? 400 : 422);
const routes: readonly Route[] = [
  { method: 'GET', path: '/things', trailingSlash: true, respond },
  {
    method: 'POST',
    path: '/things/:name',
    body: { check, duplicateStatus: settings },
    admit,
    respond,
  },
  { method: 'PUT', path: '/things/:name', body: { check }, admit, respond },
  { method: 'DELETE', path: '/things/:name', admit, respond },
  { method: 'POST', path: '/things/:name/start', since: '2019-10-22', respond },
  {
    method: 'POST',
    path: '/things/:name/large',
    body: { check: () => undefined, maxBytes: 2 << 20 },
    respond: () => ({ status: 204 }),
  },
];

test.before(async (context) => {
  context.server = await RoutesServer.open(routes);
});

test.after(async ({ server }) => {
  await server[Symbol.asyncDispose]();
});

const json = 'application/json';
const good = '{"x":1}';

/** Request line without version, content type, body: the status. */
const table: readonly (readonly [string, string | undefined, string, number])[] = [
  ['GET /things', undefined, '', 200],
  ['GET /things/', undefined, '', 200],
  ['GET /things', undefined, '{', 200],
  ['GET /things//', undefined, '', 404],
  ['GET //things', undefined, '', 404],
  ['GET /Things', undefined, '', 404],
  ['POST /things/', json, good, 400],
  ['POST /things/a', json, good, 200],
  ['POST /things/a/', json, good, 404],
  ['POST /things/a', undefined, good, 200],
  ['POST /things/a', `${json}; charset=utf-8`, good, 200],
  ['POST /things/a', 'text/plain', good, 400],
  ['POST /things/a', undefined, '', 400],
  ['POST /things/a', json, '{', 422],
  ['POST /things/a', json, 'null', 422],
  ['POST /things/a', json, '{"x":"1"}', 422],
  ['POST /things/a', json, '{"x":1,"x":1}', 422],
  ['POST /things/a', json, '{"x":1,"settings":{"y":0,"\\u0079":0}}', 400],
  ['POST /things/a', json, '{"x":1,"unknown":{}}', 200],
  ['POST /things/a', json, '\xff', 422],
  ['POST /things/stranger', json, '{', 422],
  ['POST /things/stranger', json, '{"y":1}', 422],
  ['POST /things/stranger', 'text/plain', good, 400],
  ['POST /things/stranger', json, good, 403],
  ['PUT /things/a', json, good, 200],
  ['PUT /things/a', undefined, good, 200],
  ['PUT /things/a', 'text/json', good, 415],
  ['PUT /things/a', json, '', 422],
  ['PUT /things/a', json, '[', 422],
  ['PUT /things/stranger', 'text/plain', good, 415],
  ['PUT /things/stranger', json, '', 422],
  ['PUT /things/stranger', json, good, 403],
  ['PUT /things', json, good, 400],
  ['PATCH /things/a', json, good, 400],
  ['DELETE /things/a', undefined, '', 200],
  ['DELETE /things/a', 'text/plain', '{', 200],
  ['DELETE /things/a', json, '{', 422],
  ['DELETE /things/stranger', undefined, '', 403],
  ['DELETE /absent', undefined, '', 404],
];

async function statusOf(server: RoutesServer, text: string): Promise<number> {
  using client = new RawClient(server.socketPath);
  client.send(Buffer.from(text, 'latin1'));
  const { statusLine, body } = await client.response();
  const status = Number(statusLine.split(' ')[1]);
  if (status >= 400) assert.type(Reflect.get(Object(JSON.parse(body)), 'message'), 'string');
  return status;
}

function requestOf(line: string, type: string | undefined, body: string): string {
  const headers = type === undefined ? {} : { 'Content-Type': type };
  const length = body === '\xff' ? { 'Content-Length': '1' } : {};
  return rawRequest(line, { headers: { ...headers, ...length }, body });
}

for (const [line, type, body, status] of table) {
  test(`responds to ${line} of type ${type ?? 'unstated'} and body ${JSON.stringify(body)} with ${status}`, async ({
    server,
  }) => {
    const versioned = `${line}?${version}`;
    assert.is(await statusOf(server, requestOf(versioned, type, body)), status);
    assert.is(await statusOf(server, requestOf(line, type, body)), 400, 'without a version');
  });
}

test('does not know a path in versions before its first one', async ({ server }) => {
  const start = (text: string) =>
    statusOf(server, rawRequest(`POST /things/a/start?api-version=${text}`));
  assert.is(await start('2019-10-22'), 200);
  assert.is(await start('2022-08-03'), 200);
  assert.is(await start('2019-01-30'), 404);
  assert.is(await start('2018-06-28'), 404);
  const get = rawRequest('GET /things/a/start?api-version=2019-01-30');
  assert.is(await statusOf(server, get), 404, 'nor its methods');
});

test('takes a body of a MiB, and what a route states', async ({ server }) => {
  const bodyOf = (bytes: number) => `{"x":1,"y":"${'y'.repeat(bytes - 14)}"}`;
  const post = (path: string, bytes: number) =>
    statusOf(server, rawRequest(`POST ${path}?${version}`, { body: bodyOf(bytes) }));
  assert.is(await post('/things/a', 1 << 20), 200);
  assert.is(await post('/things/a', (1 << 20) + 1), 413);
  assert.is(await post('/things/stranger', (1 << 20) + 1), 413);
  assert.is(await post('/things/a/large', 2 << 20), 204);
  assert.is(await post('/things/a/large', (2 << 20) + 1), 413);
});

test('sends neither a body nor its type with 204', async ({ server }) => {
  using client = new RawClient(server.socketPath);
  const large = rawRequest(`POST /things/a/large?${version}`, { body: good });
  client.send(large, large);
  for (let left = 2; left > 0; left--) {
    const { statusLine, headers, body } = await client.response();
    assert.is(statusLine, 'HTTP/1.1 204 No Content');
    assert.equal([headers.has('content-type'), headers.has('content-length')], [false, false]);
    assert.is(body, '');
  }
});

test('tells a target that is too long from a head that is', async ({ server }) => {
  const long = 'x'.repeat(20 << 10);
  assert.is(await statusOf(server, `GET /${long} HTTP/1.1\r\n\r\n`), 414);
  assert.is(await statusOf(server, `GET /a HTTP/1.1\r\nX: ${long}\r\n\r\n`), 431);
});

test.run();
