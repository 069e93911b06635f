import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openClient } from '../../../../src/modules/docker/engine/connection/client.ts';
import { until } from '../../../support/deadline.ts';

const test = suite<{ directory: string }>('engine client');

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-client-'));
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true });
});

test('formats no other pending request when it makes one', async ({ directory }) => {
  const socketPath = join(directory, 'docker.sock');
  let requests = 0;
  const server = createServer(() => requests++).listen(socketPath);
  const end = new AbortController();
  const docker = await openClient({ socketPath }, end.signal);
  const pending = Array.from({ length: 8 }, () => docker.version().catch(() => undefined));
  try {
    await until(10_000, 'the requests', () => requests === pending.length);
    const options = Object.entries(docker.modem).filter(([name]) => name !== 'Promise');
    // as the client does with the options of each request
    assert.ok(inspect(options, { showHidden: true, depth: null }).length < 5_000);
  } finally {
    end.abort();
    await Promise.all(pending);
    server.close();
  }
});

test.run();
