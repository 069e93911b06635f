/** What keeps a container from being created again: a process of it that the engine does not know. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startFailure } from '../../../../src/modules/docker/engine/start-failure.ts';
import { DamagedInstance } from '../../../../src/modules/supervisor/module-type.ts';

const test = suite('failed starts of containers');
const mount = '/sys/fs/cgroup';
const root = existsSync(join(mount, 'cgroup.controllers')) ? mount : join(mount, 'systemd');

/** What a failed start means while a process is in a control group. */
async function failureWith(
  groups: readonly string[],
  id: string,
  socketPath = '/run/docker.sock',
): Promise<unknown> {
  const paths = groups.map((_, at) => join(root, ...groups.slice(0, at + 1)));
  const path = paths.at(-1) ?? root;
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  try {
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'cgroup.procs'), String(child.pid));
    const container = { inspect: () => Promise.resolve({ Id: id }) } as never;
    return await startFailure(
      container,
      { action: 'starting', socketPath },
      new Error('id already in use'),
    );
  } finally {
    child.kill('SIGKILL');
    await ended;
    for (const one of paths.toReversed()) await rmdir(one).catch(() => undefined);
  }
}

test('find the process in the group of the container, also below it', async () => {
  const id = randomBytes(32).toString('hex');
  for (const groups of [[`docker-${id}.scope`], [id, 'init']]) {
    const failure = await failureWith(['iotedge-test', ...groups], id);
    assert.match(String(failure), /: it runs, .* after: kill -KILL \d+$/);
  }
});

test('do not find one of a user who names a group like the container', async () => {
  const id = randomBytes(32).toString('hex');
  const groups = ['iotedge-test', 'user@1000.service', `docker-${id}.scope`];
  assert.instance(await failureWith(groups, id), DamagedInstance);
});

test('find one of the user whose engine it is', async () => {
  const id = randomBytes(32).toString('hex');
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-socket-'));
  const socketPath = join(directory, 'docker.sock');
  try {
    await writeFile(socketPath, '');
    await chown(socketPath, 1000, 1000);
    const groupsOf = (uid: number) => ['iotedge-test', `user@${uid}.service`, `docker-${id}.scope`];
    assert.match(String(await failureWith(groupsOf(1000), id, socketPath)), /: it runs, /);
    assert.instance(await failureWith(groupsOf(1001), id, socketPath), DamagedInstance);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.run();
