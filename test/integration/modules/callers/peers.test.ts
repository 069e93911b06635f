/** The process behind a connection, when it has ended and another one has its pid. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  instanceCgroups,
  kernel,
  type PeerReading,
  peerOf,
  sinceBootMs,
} from '../../../../src/modules/callers/process-cgroup.ts';
import { deadline } from '../../../support/deadline.ts';
import { runnable } from '../../../support/not-runnable.ts';
import { cgroupOf } from '../../../support/system/cgroup.ts';

const test = suite<{ directory: string }>('peers of the host workload socket');
const program = fileURLToPath(
  new URL('../../../../../test/support/workload/host-caller.mjs', import.meta.url),
);
const attempts = 20;

async function listen(path: string) {
  const server = createServer().unref();
  server.listen(path);
  await once(server, 'listening');
  const accepted = (): Promise<Socket> => {
    const next = new Promise<Socket>((resolve) => server.once('connection', resolve));
    return deadline(10_000, next, 'a connection');
  };
  return { server, accepted };
}

test('are found with their groups', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'peers-'));
  const { server, accepted } = await listen(join(directory, 's'));
  const client = connect(join(directory, 's'));
  const socket = await accepted();
  const peer = peerOf(socket, sinceBootMs());
  client.destroy();
  socket.destroy();
  server.close();
  await rm(directory, { recursive: true });
  assert.equal(peer, { pid: process.pid, uid: process.getuid?.(), cgroup: cgroupOf('self') });
});

test('of sockets that are closed are nowhere', async () => {
  const closed = connect('/nonexistent').on('error', () => {});
  assert.is(peerOf(closed, sinceBootMs()), undefined);
});

/** A process of this pid, started where the kernel counts pids; undefined when another one was faster. */
function processOf(pid: number) {
  writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  if (child.pid === pid) return child;
  child.kill('SIGKILL');
  return undefined;
}

/** A kernel that does not know whether the process of a connection is alive. */
function oldKernel(startedAtMs: number): PeerReading {
  return {
    credentials: () => ({ pid: 7, uid: 1 }),
    isAlive: () => undefined,
    cgroup: () => ({ unified: '/docker/1', systemd: undefined }),
    startedAtMs: () => startedAtMs,
  };
}

test('before Linux 6.5 are not processes that have started since the connection was made', () => {
  const socket = connect('/nonexistent').on('error', () => {});
  const peerAt = (startedAtMs: number) => peerOf(socket, 60_000, oldKernel(startedAtMs))?.pid;
  assert.equal([59_000, 60_500, 61_500].map(peerAt), [7, 7, undefined]);
  const alive = { ...oldKernel(61_500), isAlive: () => true };
  assert.is(peerOf(socket, 60_000, alive)?.pid, 7, 'the kernel knows');
});

test('have started when the kernel says', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'peers-'));
  const { server, accepted } = await listen(join(directory, 's'));
  const before = sinceBootMs();
  const child = spawn(process.execPath, [program, '', join(directory, 's'), 'GET:/'], {
    stdio: 'ignore',
  });
  const socket = await accepted();
  const peerSince = (ms: number) => peerOf(socket, ms, { ...kernel, isAlive: () => undefined });
  assert.is(peerSince(before)?.pid, child.pid);
  assert.is(peerSince(before - 3_000), undefined, 'it has started later');
  child.kill('SIGKILL');
  socket.destroy();
  server.close();
  await rm(directory, { recursive: true });
});

runnable('peer-pidfd', test)('are not the processes that have their pids later', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'peers-'));
  const path = join(directory, 's');
  const { server, accepted } = await listen(path);
  let isReused = false;
  for (let attempt = 0; attempt < attempts && !isReused; attempt++) {
    // it has connected and ended before this process accepts the connection
    const words = [program, '', path, '--leave', 'GET:/', join(directory, 'pid')];
    execFileSync(process.execPath, words, { stdio: 'ignore', timeout: 20_000 });
    const pid = Number(readFileSync(join(directory, 'pid'), 'latin1'));
    const child = processOf(pid);
    const socket = await accepted();
    isReused = child !== undefined;
    const peer = peerOf(socket, sinceBootMs());
    socket.destroy();
    child?.kill('SIGKILL');
    assert.is(peer, undefined);
  }
  server.close();
  await rm(directory, { recursive: true });
  assert.ok(isReused, 'no process had the pid of the one before');
});

test('that end before the engine is asked have no groups', async () => {
  const child = spawn('true');
  await once(child, 'close');
  assert.is(instanceCgroups(child.pid ?? 0), undefined);
  assert.is(instanceCgroups(0), undefined);
});

test.run();
