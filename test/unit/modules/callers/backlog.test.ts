import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backlog } from '../../../../src/modules/callers/backlog.ts';
import { until } from '../../../support/deadline.ts';

const test = suite('the backlog of a socket');

/** An event loop of the test. */
function iterations() {
  let tasks: (() => void)[] = [];
  return {
    defer: (task: () => void) => void tasks.push(task),
    /** Ends an iteration: what it has deferred runs. */
    end: () => {
      const due = tasks;
      tasks = [];
      for (const task of due) task();
    },
  };
}

test('is as old as the first connection until an iteration accepts none', () => {
  let now = 10;
  const loop = iterations();
  const backlog = new Backlog(() => now, loop.defer);
  const accept = (at: number): number => {
    now = at;
    return backlog.accepted();
  };
  assert.is(accept(10), 10);
  loop.end();
  for (const at of [20, 30, 40]) {
    assert.is(accept(at), 10, 'none was empty');
    loop.end();
  }
  loop.end();
  assert.is(accept(60), 60);
  assert.is(accept(70), 60, 'in one iteration');
});

test('is empty after the connections of one moment', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'backlog-'));
  const path = join(directory, 's');
  let ticks = 0;
  const backlog = new Backlog(() => ++ticks);
  const since: number[] = [];
  const server = createServer((socket) => {
    since.push(backlog.accepted());
    socket.destroy();
  });
  server.listen(path);
  await once(server, 'listening');
  for (const count of [8, 9]) {
    const clients = Array.from({ length: count - since.length }, () => connect(path));
    await until(5_000, 'the connections', () => since.length === count);
    // iterations that accept none
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (const client of clients) client.destroy();
  }
  server.close();
  await rm(directory, { recursive: true });
  assert.ok((since[8] ?? 0) > (since[7] ?? 0), since.join(' '));
});

test.run();
