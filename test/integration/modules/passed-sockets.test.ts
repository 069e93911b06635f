/** Sockets of the runtime that outlive it, with a service manager that passes and keeps them as systemd does. */
import { once } from 'node:events';
import { lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../support/deadline.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { Rig } from '../../support/rig/rig.ts';
import { ServiceManager } from '../../support/system/service-manager.ts';
import { requestOn } from '../../support/workload/api.ts';

const test = suite('sockets of the runtime and its manager');

const options = { token: false, polkit: false } as const;
const agentSocket = (rig: Rig, agent = 'edgeAgent'): string =>
  join(rig.stateDirectory('modules'), 'mnt', agent, 'workload.sock');
const hostSocket = (rig: Rig, name: 'mgmt' | 'workload'): string =>
  join(rig.stateDirectory('modules'), `${name}.sock`);

const ask = (path: string) =>
  deadline(10_000, requestOn(path, 'GET', '/systeminfo?api-version=2018-06-28'), 'a response');

async function refusesAll(path: string, why: RegExp, refusal = 503): Promise<void> {
  for (const target of ['/systeminfo?api-version=2018-06-28', '/', '/modules/a/start']) {
    const { status, json } = await deadline(10_000, requestOn(path, 'POST', target, {}), target);
    assert.is(status, refusal);
    assert.match(String(json['message']), why);
  }
}

async function managesModules(path: string): Promise<void> {
  const list = requestOn(path, 'GET', '/modules?api-version=2018-06-28');
  const { status, json } = await deadline(10_000, list, 'the list of modules');
  assert.is(status, 200);
  const [agent] = json['modules'] as readonly { readonly name: string }[]; // checked below
  assert.is(agent?.name, 'edgeAgent');
}

/** More than a listener of Node queues by itself. */
async function connectMany(path: string): Promise<void> {
  const sockets = Array.from({ length: 600 }, () => connect(path));
  try {
    const connected = Promise.all(sockets.map((socket) => once(socket, 'connect')));
    await deadline(10_000, connected, 'the connections');
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function modeOf(path: string): Promise<string> {
  return ((await lstat(path)).mode & 0o777).toString(8);
}

test('are served as the units bound them; those that are not configured refuse, with a warning', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  const other = join(rig.directory, 'other.sock');
  await manager.listen('workload', other);
  await manager.listen('workload', hostSocket(rig, 'workload'));
  await manager.listen('management', hostSocket(rig, 'mgmt'));
  const unknown = join(rig.directory, 'unknown.sock');
  await manager.listen('unknown', unknown);
  await manager.start();
  await refusesAll(hostSocket(rig, 'workload'), /module/, 403);
  await managesModules(hostSocket(rig, 'mgmt'));
  // as it was bound
  assert.is(await modeOf(hostSocket(rig, 'mgmt')), '666');
  const warned = async (): Promise<readonly string[]> =>
    (await rig.log('modules')).match(/<4>passed socket.*/g) ?? [];
  await until(10_000, 'two warnings', async () => (await warned()).length === 2);
  assert.match((await warned()).join('\n'), `name=workload path=${other}`);
  assert.match((await warned()).join('\n'), `name=unknown path=${unknown}`);
  await refusesAll(
    other,
    /^listen of modules.yaml does not name .* run 'iotedgectl config apply'$/,
  );
  await refusesAll(unknown, /^listen of modules.yaml does not name this socket$/);
  await rig.stop('modules');
  assert.is(await modeOf(hostSocket(rig, 'mgmt')), '666');
});

test('are bound by the service itself without units, and removed when it stops', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  await manager.start();
  await refusesAll(hostSocket(rig, 'workload'), /module/, 403);
  await managesModules(hostSocket(rig, 'mgmt'));
  assert.is(await modeOf(hostSocket(rig, 'workload')), '666');
  assert.is(await modeOf(hostSocket(rig, 'mgmt')), '660');
  await rig.stop('modules', 'SIGKILL');
  await manager.start();
  await managesModules(hostSocket(rig, 'mgmt'));
  await rig.stop('modules');
  for (const name of ['mgmt', 'workload'] as const) {
    assert.is(await lstat(hostSocket(rig, name)).catch(() => 'absent'), 'absent');
  }
});

test('of modules are kept: a module that connects while the service is away waits for its response', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  await manager.start();
  const path = agentSocket(rig);
  const { status } = await ask(path);
  const { ino } = await lstat(path);
  const { stored } = manager;
  assert.is(stored.length, 2);
  assert.match(stored[0] ?? '', /^module-[0-9a-f]{32}$/);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await rig.stop('modules', signal);
    await connectMany(path);
    const waiting = ask(path);
    await manager.start();
    assert.is((await waiting).status, status);
    assert.is((await lstat(path)).ino, ino);
    assert.equal(manager.stored, stored);
  }
});

test('of modules are bound again when their file is gone or what is kept does not listen', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  await manager.start();
  const path = agentSocket(rig);
  const { status } = await ask(path);
  for (const damage of [() => rm(path), () => manager.spoilStore()]) {
    const before = manager.stored;
    await rig.stop('modules');
    await damage();
    await manager.start();
    assert.is((await ask(path)).status, status);
    assert.is(await modeOf(path), '666');
    await until(10_000, 'two stored sockets', () => manager.stored.length === 2);
    assert.not.equal(manager.stored, before);
  }
});

test('of modules are renamed by a reload, and kept by their new name', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  await manager.start();
  const former = agentSocket(rig);
  const { status } = await ask(former);
  const before = manager.stored;
  await rig.configure('modules', { connect: { workload_uri: 'unix:///run/iotedge/other.sock' } });
  assert.is(await rig.reload('modules'), 'reloaded');
  const path = join(dirname(former), 'other.sock');
  assert.is((await ask(path)).status, status);
  assert.is(await lstat(former).catch(() => 'absent'), 'absent');
  const isReplaced = () => manager.stored.length === 2 && !manager.stored.includes(before[0] ?? '');
  await until(10_000, 'another stored socket', isReplaced);
});

test('of modules are kept no longer when their module is gone', async () => {
  await using rig = await Rig.start(options);
  const manager = await ServiceManager.of(rig, 'modules');
  await manager.start();
  const before = manager.stored;
  await rig.configure('modules', { agent: { name: 'other' } });
  assert.is(await rig.reload('modules'), 'reloaded');
  const kept = () => manager.stored.filter((name) => before.includes(name));
  const others = () => manager.stored.filter((name) => !before.includes(name));
  // without an engine it is unknown whether a container of the former one runs: it manages nothing any more
  await until(10_000, 'a socket of the other', () => kept().length === 1 && others().length === 1);
  await using _engine = await PrivateEngine.start(`${rig.directory}/engine/docker.sock`);
  await until(30_000, 'only other sockets', () => kept().length === 0);
  assert.ok(others().length > 0);
  const isAbsent = () =>
    lstat(agentSocket(rig)).then(
      () => false,
      () => true,
    );
  await until(10_000, 'the path of its socket to be free', isAbsent);
  assert.ok((await ask(agentSocket(rig, 'other'))).status > 0);
});

test.run();
