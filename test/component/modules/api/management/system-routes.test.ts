import { connect } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type SystemBackend,
  systemRoutes,
} from '../../../../../src/modules/api/management/system-routes.ts';
import type { BundleRequest } from '../../../../../src/modules/support-bundle/bundle.ts';
import { until } from '../../../../support/deadline.ts';
import { ask, jsonOf } from '../../../../support/http/ask.ts';
import { RoutesServer } from '../../../../support/http/routes-server.ts';

interface Context {
  server: RoutesServer;
}

const test = suite<Context>('routes of the machine');
const now = new Date('2026-11-27T12:00:00Z');
const bundles: BundleRequest[] = [];
let released = 0;

async function* endless(): AsyncGenerator<Uint8Array> {
  try {
    for (;;) yield Buffer.alloc(64 << 10);
  } finally {
    released++;
  }
}

async function* short(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('PK');
}

const backend: SystemBackend = {
  machine: async () => ({ osType: 'Linux' }),
  resources: async () => ({ docker_stats: '[]' }),
  supportBundle: (request) => {
    bundles.push(request);
    return request.runtimeOnly ? endless() : short();
  },
  now: () => now,
};

test.before(async (context) => {
  context.server = await RoutesServer.open(systemRoutes(backend));
});

test.after(async ({ server }) => {
  await server[Symbol.asyncDispose]();
});

test('describes the machine and what it uses', async ({ server }) => {
  assert.equal(jsonOf(await ask(server.socketPath, 'GET', '/systeminfo')), { osType: 'Linux' });
  const used = await ask(server.socketPath, 'GET', '/systeminfo/resources');
  assert.equal(jsonOf(used), { docker_stats: '[]' });
});

test('streams a zip file for the time that is asked for', async ({ server }) => {
  const path =
    '/systeminfo/supportbundle?since=1d&until=2026-11-27T11:00:00Z&host=x&iothub_hostname=y';
  const { status, headers, body } = await ask(server.socketPath, 'GET', path);
  assert.is(status, 200);
  assert.is(headers['content-type'], 'application/zip');
  assert.is(body.toString(), 'PK');
  const until = new Date('2026-11-27T11:00:00Z');
  const since = new Date('2026-11-26T12:00:00Z');
  assert.equal(bundles.splice(0), [{ since, until, runtimeOnly: false }]);
});

test('takes the same time at both ends for the beginning', async ({ server }) => {
  const path = '/systeminfo/supportbundle?since=1d&until=1d&edge_runtime_only=false';
  assert.is((await ask(server.socketPath, 'GET', path)).status, 200);
  assert.is(bundles.splice(0)[0]?.until, undefined);
});

test('refuses times and flags of another form', async ({ server }) => {
  for (const query of ['since=soon', 'until=2026-11-27', 'edge_runtime_only=yes', 'since=']) {
    const { status } = await ask(server.socketPath, 'GET', `/systeminfo/supportbundle?${query}`);
    assert.is(status, 400, query);
  }
  assert.equal(bundles, []);
});

test('releases a bundle whose client leaves', async ({ server }) => {
  const path = '/systeminfo/supportbundle?edge_runtime_only=true&api-version=2022-08-03';
  const socket = connect(server.socketPath);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(10_000, 'some of it', () => socket.bytesRead > 100_000 || socket.readableLength > 0);
  socket.destroy();
  await until(10_000, 'the end', () => released === 1);
});

test.run();
