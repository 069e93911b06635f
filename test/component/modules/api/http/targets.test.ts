/** Request targets of arbitrary bytes, and routes with arbitrary parameters. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isModuleName, moduleIdOf, parseModuleName } from '../../../../../src/ids.ts';
import { HttpProblem } from '../../../../../src/modules/api/http/failure.ts';
import { apiServer } from '../../../../../src/modules/api/http/http.ts';
import { parseTarget } from '../../../../../src/modules/api/http/request/target.ts';
import type { Route } from '../../../../../src/modules/api/http/route.ts';
import { serveSocket } from '../../../../../src/modules/api/http/socket.ts';
import { workloadRoutes } from '../../../../../src/modules/api/workload/workload.ts';
import { holds, holdsAsync } from '../../../../support/property.ts';
import { plainBackend, requestOn, version, WorkloadApi } from '../../../../support/workload/api.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';
import { RawClient } from '../../../../support/workload/raw-client.ts';

interface Context {
  api: WorkloadApi;
  directory: string;
}

const test = suite<Context>('request targets');
const versions = [
  '2018-06-28',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2021-12-07',
  '2022-08-03',
];
/** Every status that a failure may have; an internal error would be 500. */
const declared = [400, 403, 404, 413, 414, 415, 417, 422, 431];

test.before(async (context) => {
  context.api = await WorkloadApi.open();
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-targets-'));
});

test.after(async ({ api, directory }) => {
  await api[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Parts of targets, as clients spell, misspell and abuse them. */
const piece = fc.oneof(
  fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '/../',
    '%2e%2e',
    '%2F',
    '%',
    '%zz',
    '%00',
    '%ff',
    '%C3%A4',
    '?',
    '#',
    '&',
    '=',
    'api-version',
    `?${version}`,
    '?api-version=2031-01-01',
    'modules',
    '/modules',
    '/trust-bundle',
    '/%24edgeAgent/genid/gen%2F1/sign',
    'certificate/identity',
    'http://host',
    ';a=b',
    '*',
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const target = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));

/** A module's name, as `isModuleName` has them. */
const moduleName = fc.stringMatching(/^[A-Za-z0-9$][A-Za-z0-9._$:-]{0,40}$/).filter(isModuleName);
/** Any text that has a percent-encoding; one segment at least. */
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });

test('are segments, or refused with 400', () => {
  const isParsed = (one: string): void => {
    try {
      assert.ok(parseTarget(one).segments.every((segment) => typeof segment === 'string'));
    } catch (error) {
      assert.ok(error instanceof HttpProblem, String(error));
      assert.is(error.status, 400);
    }
  };
  holds(fc.property(target, isParsed), 2_000);
  holds(
    fc.property(target, (one) => isParsed(`${one}?${version}`)),
    2_000,
  );
});

test('are served in every API version in use, and in no other', () => {
  for (const one of versions) {
    const { segments, version: found } = parseTarget(`/trust-bundle?api-version=${one}`);
    assert.equal([segments, found], [['', 'trust-bundle'], one]);
  }
  const other = fc
    .oneof(fc.string(), fc.stringMatching(/^20[0-9]{2}-[01][0-9]-[0-3][0-9]$/))
    .filter((one) => !versions.includes(one));
  const refusal = (one: string) => {
    assert.throws(
      () => parseTarget(`/trust-bundle?api-version=${encodeURIComponent(one)}`),
      (error: unknown) => error instanceof HttpProblem && error.status === 400,
    );
  };
  holds(fc.property(other, refusal), 300);
});

test('round-trip their segments, whatever their characters', () => {
  const segments = fc.array(text, { minLength: 1, maxLength: 6 });
  const isInverse = (parts: readonly string[], query: string): void => {
    const path = parts.map(encodeURIComponent).join('/');
    const found = parseTarget(`/${path}?x=${encodeURIComponent(query)}&${version}`);
    assert.equal([found.segments, found.query.get('x')], [['', ...parts], query]);
    const slashed = parseTarget(`http://workload.sock/${path}/?${version}`);
    assert.equal(slashed.segments, ['', ...parts, '']);
  };
  holds(fc.property(segments, text, isInverse), 500);
});

test('preserve empty and dotted segments, which do not name other paths', () => {
  for (const path of ['//trust-bundle', '/./trust-bundle', '/x/../trust-bundle', '/trust-bundle//'])
    assert.is(parseTarget(`${path}?${version}`).segments.length > 2, true, path);
});

test('get a JSON response with a declared status, whatever their bytes', async ({ api }) => {
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS');
  // a blank or a line end begins something else, which damaged-requests covers
  const bytes = fc
    .oneof(target, fc.uint8Array({ maxLength: 24 }).map(latin1))
    .map((one) => one.replace(/[\r\n ]/g, ''));
  const assertResponse = async ([verb, one]: readonly [string, string]): Promise<void> => {
    using client = new RawClient(api.socketPath);
    client.send(Buffer.from(`${verb} /${one} HTTP/1.1\r\nHost: a\r\n\r\n`, 'latin1'));
    client.socket.end();
    await client.untilEnd();
    const [line = ''] = client.unread.split('\r\n', 1);
    const status = Number(/^HTTP\/1\.1 (\d{3}) [A-Z]+$/i.exec(line)?.[1]);
    assert.ok(status === 200 || declared.includes(status), `${JSON.stringify(one)}: ${line}`);
    const body = client.unread.slice(client.unread.indexOf('\r\n\r\n') + 4);
    assert.type(JSON.parse(body), 'object');
  };
  const several = fc.array(fc.tuple(method, bytes), { minLength: 16, maxLength: 16 });
  const assertResponses = async (
    requests: readonly (readonly [string, string])[],
  ): Promise<void> => {
    const before = api.records.length;
    await Promise.all(requests.map(assertResponse));
    assert.is(api.records.length, before + requests.length);
  };
  await holdsAsync(fc.asyncProperty(several, assertResponses), 25);
});

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** Serves routes on a separate socket while the action runs. */
async function withRoutes(
  directory: string,
  routes: readonly Route[],
  action: (socketPath: string) => Promise<void>,
): Promise<void> {
  const server = apiServer(routes, { requestId: () => 'id', onRequest: () => {} });
  const listening = await serveSocket(
    { directory, name: 'routes.sock', mode: 0o600 },
    server,
    ownLimits(),
  );
  try {
    await action(join(directory, 'routes.sock'));
  } finally {
    await listening[Symbol.asyncDispose]();
  }
}

test('lead to their route with the parameters that they were built from', async ({ directory }) => {
  const respond: Route['respond'] = ({ params }) => ({ status: 200, json: params });
  const routes: readonly Route[] = [
    { method: 'POST', path: '/a/:first/b/:second', respond },
    { method: 'POST', path: '/a/:first', respond },
    { method: 'POST', path: '/c', respond },
  ];
  await withRoutes(directory, routes, async (socketPath) => {
    const leads = async (first: string, second: string): Promise<void> => {
      const [one, two] = [first, second].map(encodeURIComponent);
      const both = await requestOn(socketPath, 'POST', `/a/${one}/b/${two}?${version}`);
      assert.equal([both.status, both.json], [200, { first, second }]);
      const single = await requestOn(socketPath, 'POST', `/a/${one}?${version}`);
      assert.equal([single.status, single.json], [200, { first }]);
      const longer = await requestOn(socketPath, 'POST', `/a/${one}/b/${two}/${one}?${version}`);
      assert.is(longer.status, 404);
    };
    await holdsAsync(fc.asyncProperty(text, text, leads), 50);
  });
});

test('lead only to the module of the socket, and only to its generation', async ({ directory }) => {
  const leads = async (name: string, other: string, generationId: string, later: string) => {
    fc.pre(moduleIdOf(parseModuleName(name)) !== moduleIdOf(parseModuleName(other)));
    fc.pre(name.replace(/^\$/, '') !== other.replace(/^\$/, '') && later !== generationId);
    const module = parseModuleName(name);
    const own = moduleIdOf(module);
    const identity = () => Promise.resolve({ moduleId: own, generationId });
    const routes = workloadRoutes(module, { ...plainBackend, identity });
    await withRoutes(directory, routes, async (socketPath) => {
      const statusOf = async (named: string, generation: string) => {
        const path = `/modules/${[named, 'genid', generation, 'sign'].map(encodeURIComponent).join('/')}`;
        return (await requestOn(socketPath, 'POST', `${path}?${version}`, { data: '' })).status;
      };
      assert.is(await statusOf(own, generationId), 200, 'its id');
      assert.is(await statusOf(name, generationId), 200, 'its name');
      assert.is(await statusOf(own, later), 403, 'another generation');
      assert.is(await statusOf(other, generationId), 403, 'another module');
      const path = `/modules/${encodeURIComponent(other)}/certificate/identity?${version}`;
      assert.is((await requestOn(socketPath, 'POST', path)).status, 403, 'of another module');
    });
  };
  const names = fc.oneof(fc.constantFrom('edgeAgent', 'edgeHub'), moduleName);
  const property = fc.asyncProperty(
    names.filter((one) => !one.startsWith('$')),
    names.filter((one) => /^\$?[A-Za-z0-9]/.test(one)),
    text,
    text,
    leads,
  );
  await holdsAsync(property, 40);
});

test.run();
