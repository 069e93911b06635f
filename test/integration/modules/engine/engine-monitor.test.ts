import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerModules } from '../../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  EngineMonitor,
  type EngineStatus,
} from '../../../../src/modules/supervisor/engine-monitor.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite('engine monitor');

/** Monitors an engine that ends each stream of events and opens no second one, until it was reached the given number of times. */
async function statusesOf(times: number, now: () => Date): Promise<readonly EngineStatus[]> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-monitor-'));
  const socketPath = join(directory, 'docker.sock');
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'application/json');
    const url = request.url ?? '';
    if (url.includes('since=')) response.statusCode = 503;
    response.end(url.includes('/version') ? '{"Version":"1"}' : '[]');
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const stop = new AbortController();
  const reached: EngineStatus[] = [];
  const monitor = new EngineMonitor({
    type: new DockerModules(new DockerEngine(socketPath), silentLog),
    log: silentLog,
    now,
    onInstance: () => {},
    onStatus: (status) => {
      if (status.reachable && reached.push(status) === times) stop.abort();
    },
  });
  try {
    await monitor.run(AbortSignal.any([stop.signal, AbortSignal.timeout(60_000)]));
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
  return reached;
}

test('does not consider an engine steady that disconnects again at once', async () => {
  const reached = await statusesOf(2, () => new Date(0));
  assert.equal(
    reached.map(({ steady }) => steady),
    [true, false],
  );
});

test('considers an engine steady that was connected for a minute before', async () => {
  let minutes = 0;
  const reached = await statusesOf(2, () => new Date(minutes++ * 60_000));
  assert.equal(
    reached.map(({ steady }) => steady),
    [true, true],
  );
});

test.run();
