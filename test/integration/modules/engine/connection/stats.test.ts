/** The use of resources as a real engine reports it, and as Docker 26 does, which does not say whose it is. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerEngine } from '../../../../../src/modules/docker/engine/docker-engine.ts';
import { moduleResources } from '../../../../../src/modules/resources/container-stats.ts';
import { soon } from '../../../../support/deadline.ts';
import { importBusybox } from '../../../../support/engine/images.ts';
import { PrivateEngine } from '../../../../support/engine/private-engine.ts';
import { messageOf } from '../../../../support/failure.ts';

const test = suite<{ socketPath: string }>('the use of resources');
const stats = { read: '2026-01-31T12:00:00Z', pids_stats: { current: 1 } };

test.before.each(async (context) => {
  context.socketPath = join(await mkdtemp(join(tmpdir(), 'iotedge-stats-')), 'engine.sock');
});

test.after.each(({ socketPath }) => rm(join(socketPath, '..'), { recursive: true }));

/** An engine with the container `sensor`, also by the beginning of its id, whose samples have no name. */
async function namelessEngine(socketPath: string) {
  const responses: Readonly<Record<string, object>> = {
    '/version': { Version: '26.1.5', ApiVersion: '1.45' },
    '/containers/sensor/stats': stats,
    '/containers/1f2e/stats': stats,
    '/containers/sensor/json': { Id: '1f2e3d', Name: '/sensor' },
    '/containers/1f2e/json': { Id: '1f2e3d', Name: '/sensor' },
  };
  const server = createServer((request, response) => {
    const found = responses[request.url?.replace(/^\/v1\.\d+|\?.*$/g, '') ?? ''];
    response.statusCode = found === undefined ? 404 : 200;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(found ?? { message: 'not here' }));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return server;
}

test('has the id and the name of its container', async ({ socketPath }) => {
  await using machine = await PrivateEngine.start(socketPath);
  await importBusybox(machine, 'localhost/busybox:1');
  const run = ['run', '-d', '--name', 'sensor', 'localhost/busybox:1', 'sleep', '1000'];
  const container = await machine.docker(...run);
  const found = await new DockerEngine(socketPath).reports.stats('sensor', soon());
  assert.equal({ id: found['id'], name: found['name'] }, { id: container, name: '/sensor' });
  assert.is(moduleResources('sensor', found).processes, 1);
});

test('has them of an engine that leaves them out', async ({ socketPath }) => {
  await using _ = await namelessEngine(socketPath);
  const { reports } = new DockerEngine(socketPath);
  assert.equal(await reports.stats('sensor', soon()), { id: '1f2e3d', name: '/sensor', ...stats });
  assert.is(await messageOf(reports.stats('1f2e', soon())), 'NotFound: no container "1f2e"');
});

test.run();
