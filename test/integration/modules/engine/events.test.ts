/** The events of an engine behind a proxy that ends their streams. */
import { getEventListeners } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerModules } from '../../../../src/modules/docker/docker-modules.ts';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import { moduleLabel, owner, ownerLabel } from '../../../../src/modules/docker/labels.ts';
import {
  EngineMonitor,
  type EngineStatus,
  type MonitorOptions,
} from '../../../../src/modules/supervisor/engine-monitor.ts';
import { deadline, soon, until } from '../../../support/deadline.ts';
import { CuttingPeer } from '../../../support/engine/cutting-peer.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { failureOf } from '../../../support/failure.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  machine: PrivateEngine;
  peer: CuttingPeer;
  engine: DockerEngine;
}

const test = suite<Context>('events of an engine');
const image = 'localhost/busybox:1';
const labels = ['-l', `${ownerLabel}=${owner}`, '-l', `${moduleLabel}=sensor`];

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  const socket = join(context.machine.directory, 'proxy.sock');
  context.peer = await CuttingPeer.start(socket, context.machine.socketPath);
  context.engine = new DockerEngine(socket);
  await importBusybox(context.machine, image);
});

test.before.each(({ peer }) => {
  peer.stage = 'everything';
});

test.after(async ({ machine, peer }) => {
  await peer?.[Symbol.asyncDispose]();
  await machine?.[Symbol.asyncDispose]();
});

/** The next name that is one of these. */
async function next(events: AsyncIterator<string>, names: readonly string[]): Promise<string> {
  for (;;) {
    const found = await deadline(20_000, events.next(), `an event of ${names.join()}`);
    assert.not(found.done);
    if (names.includes(String(found.value))) return String(found.value);
  }
}

test('go on when the proxy ends their stream, with those in between', async (context) => {
  const { engine, machine, peer } = context;
  const create = (name: string) => machine.docker('create', '--name', name, ...labels, image);
  const events = (await engine.listen(soon()))[Symbol.asyncIterator]();
  await create('first');
  assert.is(await next(events, ['first']), 'first');
  // nothing is read here, so the stream is opened again after the event
  peer.cutAll();
  await create('between');
  assert.is(await next(events, ['between']), 'between');
  await create('after');
  assert.is(await next(events, ['after']), 'after');
});

test('report a container that was disconnected from its network', async ({ engine, machine }) => {
  // newer engines report it of running containers only
  await machine.docker('run', '-d', '--name', 'joined', ...labels, image, 'sleep', '1000');
  const events = (await engine.listen(soon()))[Symbol.asyncIterator]();
  await machine.docker('network', 'disconnect', 'bridge', 'joined');
  assert.is(await next(events, ['joined']), 'joined');
});

test('report containers of others only when they free a name', async ({ engine, machine }) => {
  const events = (await engine.listen(soon()))[Symbol.asyncIterator]();
  await machine.docker('create', '--name', 'foreign', image);
  await machine.docker('create', '--name', 'alike', ...labels.slice(0, 2), image);
  await machine.docker('create', '--name', 'ours', ...labels, image);
  assert.is(await next(events, ['foreign', 'alike', 'ours']), 'ours');
  await machine.docker('rm', 'foreign');
  assert.is(await next(events, ['foreign']), 'foreign');
});

test('end with Unavailable when a stream ends and no other can be opened', async (context) => {
  const { engine, peer } = context;
  const events = (await engine.listen(soon()))[Symbol.asyncIterator]();
  peer.stage = 'nothing';
  peer.cutAll();
  assert.is(await failureOf(events.next()), 'Unavailable');
});

test('begin again with the time of the last one, and a list shows what the engine does not repeat', async ({
  machine,
}) => {
  const made = { Id: 'c1', Names: ['/made'], State: 'created' };
  const streams: URL[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://engine');
    const isList = url.pathname.endsWith('/containers/json');
    response.setHeader('Content-Type', 'application/json');
    if (url.pathname.endsWith('/events')) streams.push(url);
    const event = streams.length === 1 ? JSON.stringify({ time: 1234 }) : '';
    response.end(isList ? JSON.stringify(streams.length === 1 ? [] : [made]) : event);
  });
  const socket = join(machine.directory, 'forgetful.sock');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  server.unref(); // a failed test ends all the same
  const engine = new DockerEngine(socket);
  const signal = soon();
  const events = (await engine.listen(signal))[Symbol.asyncIterator]();
  assert.is(await next(events, ['made']), 'made');
  assert.equal(
    streams.map(({ searchParams }) => searchParams.get('since')),
    [null, '1234'],
  );
  const listeners = getEventListeners(signal, 'abort').length;
  const stopped = failureOf(events.next());
  await until(20_000, 'more streams', () => streams.length === 4);
  assert.ok(getEventListeners(signal, 'abort').length <= listeners + 1);
  server.close();
  assert.is(await stopped, 'Unavailable');
});

/** A monitor of an engine, with what it has reported. */
async function monitored(engine: DockerEngine, options: Pick<MonitorOptions, 'pings'> = {}) {
  const statuses: EngineStatus[] = [];
  const changed = new Set<string>();
  const end = new AbortController();
  const monitor = new EngineMonitor({
    type: new DockerModules(engine, silentLog),
    log: silentLog,
    now: () => new Date(),
    onStatus: (status) => void statuses.push(status),
    onInstance: (name) => void changed.add(name),
    ...options,
  });
  const running = monitor.run(AbortSignal.any([end.signal, soon()]));
  await monitor.known;
  const stop = async (): Promise<void> => {
    end.abort();
    await running;
  };
  return { monitor, statuses, changed, stop };
}

test('are no outage for the monitor when their stream ends', async ({ engine, machine, peer }) => {
  const { statuses, changed, stop } = await monitored(engine);
  for (const name of ['one', 'two']) {
    peer.cutAll();
    await machine.docker('create', '--name', name, ...labels, image);
    await until(20_000, `the event of ${name}`, () => changed.has(name));
  }
  assert.equal(
    statuses.map(({ reachable }) => reachable),
    [true],
  );
  await stop();
});

test('notices an engine that hangs, whose stream of events goes on later', async ({
  engine,
  machine,
}) => {
  const pings = { everyMs: 100, limitMs: 500 };
  const { monitor, statuses, changed, stop } = await monitored(engine, { pings });
  await machine.docker('run', '-d', '--name', 'ends', ...labels, image, 'sleep', '1000');
  await until(20_000, 'its event', () => changed.has('ends'));
  const pid = Number(await machine.docker('inspect', '--format', '{{.State.Pid}}', 'ends'));
  const before = monitor.status;
  machine.signalDaemon('SIGSTOP');
  try {
    await until(20_000, 'the loss', () => !monitor.status.reachable);
    changed.clear();
    process.kill(pid, 'SIGKILL');
  } finally {
    machine.signalDaemon('SIGCONT');
  }
  assert.match(monitor.status.error, /did not respond in time: is it overloaded\?/);
  await until(20_000, 'the engine', () => monitor.status.reachable);
  await until(20_000, 'the end', () => changed.has('ends'));
  assert.equal(statuses, [
    before,
    { ...before, reachable: false, error: statuses[1]?.error },
    { ...before, steady: false },
  ]);
  await stop();
});

test.run();
