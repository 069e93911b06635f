import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../../src/ids.ts';
import { serveSocket } from '../../../../../src/modules/api/http/socket.ts';
import { ModuleSockets } from '../../../../../src/modules/api/sockets/module-socket.ts';
import { moduleSocketStore } from '../../../../../src/modules/api/sockets/module-socket-store.ts';
import type { SystemdSockets } from '../../../../../src/service/systemd/sockets.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { failureOf } from '../../../../support/failure.ts';
import { ownLimits } from '../../../../support/workload/limits.ts';

const test = suite<{ directory: string }>('sockets of modules');
const sensor = parseModuleName('sensor');
const filter = parseModuleName('filter');
const hub = parseModuleName('hub');

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-module-sockets-'));
});
test.after.each(({ directory }) => rm(directory, { recursive: true }));

/** Steps that wait until they are let through. */
class Gate {
  readonly waiting: string[] = [];
  #pass: (() => void)[] = [];
  isOpen = true;

  async pass(step: string): Promise<void> {
    if (this.isOpen) return;
    this.waiting.push(step);
    await new Promise<void>((resolve) => this.#pass.push(resolve));
  }

  open(): void {
    this.isOpen = true;
    for (const resolve of this.#pass.splice(0)) resolve();
  }

  until(steps: readonly string[]): Promise<void> {
    const missing = () => steps.filter((step) => !this.waiting.includes(step));
    return until(
      10_000,
      () => `${missing().join()} to begin`,
      () => missing().length === 0,
    );
  }
}

function socketsIn(socketsPath: string) {
  const gate = new Gate();
  const bound = new Set<string>();
  const state = { workload: '/run/a.sock', management: '/run/m.sock', agent: '', gate, bound };
  const sockets = new ModuleSockets({
    connect: () => ({ management: state.management, workload: state.workload }),
    agent: () => state.agent,
    socketsPath,
    serve: async (_api, module, { name }) => {
      const path = `${module}/${name}`;
      await gate.pass(`bind ${path}`);
      if (name === 'unusable.sock') throw new Error('cannot be bound');
      bound.add(path);
      const close = async (): Promise<void> => {
        await gate.pass(`close ${path}`);
        bound.delete(path);
      };
      const isInPlace = () => Promise.resolve(true);
      return { [Symbol.asyncDispose]: close, isInPlace, remove: close };
    },
  });
  return { sockets, state };
}

/** Rejects unless a socket listens at the path. */
async function connects(path: string): Promise<void> {
  const client = connect(path);
  await soon(once(client, 'connect'));
  client.destroy();
}

const soon = <T>(promise: Promise<T>) => deadline(10_000, promise, 'the sockets');

test('are renamed, and closed, all at once', async ({ directory }) => {
  const { sockets, state } = socketsIn(directory);
  for (const module of [sensor, filter, hub]) await sockets.open(module);
  state.workload = '/run/b.sock';
  state.gate.isOpen = false;
  const renamed = sockets.rebind();
  await state.gate.until(['bind sensor/b.sock', 'bind filter/b.sock', 'bind hub/b.sock']);
  state.gate.open();
  state.gate.isOpen = false;
  await state.gate.until(['close sensor/a.sock', 'close filter/a.sock', 'close hub/a.sock']);
  state.gate.open();
  await soon(renamed);
  assert.equal([...state.bound].sort(), ['filter/b.sock', 'hub/b.sock', 'sensor/b.sock']);
});

test('stay closed when they are closed while they are renamed', async ({ directory }) => {
  const { sockets, state } = socketsIn(directory);
  const [gone, disposed] = [await sockets.open(sensor), await sockets.open(filter)];
  state.workload = '/run/b.sock';
  state.gate.isOpen = false;
  const renamed = sockets.rebind();
  await state.gate.until(['bind sensor/b.sock', 'bind filter/b.sock']);
  const closed = [gone.remove(), disposed[Symbol.asyncDispose]()];
  state.workload = '/run/c.sock';
  const renamedAgain = sockets.rebind();
  state.gate.open();
  await soon(Promise.all([renamed, renamedAgain, ...closed, gone.bind()]));
  assert.equal([...state.bound], []);
});

test('have the new name when they are opened while the others are renamed', async ({
  directory,
}) => {
  const { sockets, state } = socketsIn(directory);
  state.gate.isOpen = false;
  const opened = sockets.open(sensor);
  await state.gate.until(['bind sensor/a.sock']);
  state.workload = '/run/b.sock';
  const renamed = sockets.rebind();
  state.gate.open();
  await soon(Promise.all([opened, renamed]));
  assert.equal([...state.bound], ['sensor/b.sock']);
});

test('are bound after another one of the same module is closed', async ({ directory }) => {
  const { sockets, state } = socketsIn(directory);
  const former = await sockets.open(sensor);
  state.gate.isOpen = false;
  const removed = former.remove();
  await state.gate.until(['close sensor/a.sock']);
  const opened = sockets.open(sensor);
  const other = sockets.open(filter);
  await state.gate.until(['bind filter/a.sock']);
  assert.equal(state.gate.waiting, ['close sensor/a.sock', 'bind filter/a.sock']);
  state.gate.open();
  await soon(Promise.all([removed, opened, other]));
  assert.equal([...state.bound].sort(), ['filter/a.sock', 'sensor/a.sock']);
});

test('keep their name when one cannot be renamed, and are left by one that cannot be opened', async ({
  directory,
}) => {
  const { sockets, state } = socketsIn(directory);
  await sockets.open(sensor);
  state.workload = '/run/unusable.sock';
  assert.match(String(await failureOf(soon(sockets.rebind()))), 'cannot be bound');
  assert.match(String(await failureOf(soon(sockets.open(filter)))), 'cannot be bound');
  state.workload = '/run/a.sock';
  await soon(sockets.rebind());
  assert.equal([...state.bound], ['sensor/a.sock']);
});

test('are two for the agent, and one again when another module is the agent', async ({
  directory,
}) => {
  const { sockets, state } = socketsIn(directory);
  state.agent = 'hub';
  for (const module of [sensor, hub]) await sockets.open(module);
  assert.equal([...state.bound].sort(), ['hub/a.sock', 'hub/m.sock', 'sensor/a.sock']);
  state.agent = 'sensor';
  await soon(sockets.rebind());
  assert.equal([...state.bound].sort(), ['hub/a.sock', 'sensor/a.sock', 'sensor/m.sock']);
});

test('of the management API are bound by the next attempt when one failed', async ({
  directory,
}) => {
  const { sockets, state } = socketsIn(directory);
  state.agent = 'hub';
  const socket = await sockets.open(hub, true);
  assert.equal([...state.bound], ['hub/a.sock'], 'withheld');
  state.management = '/run/unusable.sock';
  assert.match(String(await failureOf(() => socket.serveManagement())), /cannot be bound/);
  state.management = '/run/m.sock';
  await socket.serveManagement();
  assert.equal([...state.bound], ['hub/a.sock', 'hub/m.sock']);
});

test('are made again where their file was removed or replaced', async ({ directory }) => {
  const server = {
    serve: () => Promise.resolve(),
    refused: () => undefined,
    close: () => undefined,
  };
  const sockets = new ModuleSockets({
    connect: () => ({ management: '/run/m.sock', workload: '/run/w.sock' }),
    agent: () => 'hub',
    socketsPath: directory,
    serve: (_api, _module, place) => serveSocket(place, server, ownLimits()),
  });
  await using socket = await sockets.open(hub);
  const path = join(directory, 'hub/w.sock');
  assert.equal(await socket.restore(), []);
  await rm(path);
  await mkdir(join(path, 'content'), { recursive: true });
  assert.equal(await socket.restore(), ['w.sock']);
  await connects(path);
  await rm(join(directory, 'hub'), { recursive: true });
  assert.equal(await socket.restore(), ['w.sock', 'm.sock']);
  await connects(path);
  assert.equal(await socket.restore(), []);
  await socket.remove();
  assert.equal(await readdir(join(directory, 'hub')), []);
});

test('are found in the store by their file, not by a later one with its inode', async ({
  directory,
}) => {
  const stored = new Map<string, number>();
  const store = moduleSocketStore({
    take: (name: string) => stored.has(name) && { fd: stored.get(name) },
    store: (name: string, fd: number) => stored.set(name, fd),
    discard: (name: string) => stored.delete(name),
  } as unknown as SystemdSockets); // the methods that are used
  const path = join(directory, 'w.sock');
  assert.is(await store.take(path), undefined);
  await writeFile(path, '');
  await store.keep(path, 7);
  assert.is(await store.take(path), 7);
  await utimes(path, 1, 1);
  assert.is(await store.take(path), undefined);
});

test.run();
