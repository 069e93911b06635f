/** A module that is hostile to its management socket: documented statuses, others unaffected, memory bounded. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { ask } from '../../../support/http/ask.ts';
import { RawClient, rawRequest } from '../../../support/workload/raw-client.ts';

interface Context {
  device: ModulesRig;
  socketPath: string;
  /** The other containers, and when they were started. */
  others: string;
}

const test = suite<Context>('hostile use of the management socket');
const { image } = ModulesRig;
const sleeping = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
/** 10 MB: all readers together have more than the service may grow by. */
const script = `i=0; while [ $i -lt 100000 ]; do echo ${'x'.repeat(100)}; i=$((i+1)); done; exec sleep 1000`;
const printing = { Cmd: ['sh', '-c', script], StopSignal: 'SIGKILL' };
const version = 'api-version=2022-08-03';
/** What the service may grow by: bodies of up to 1 MiB in 64 operations, and buffers of streams. */
const growthBytes = 128 << 20;

test.before(async (context) => {
  const device = await ModulesRig.start({ agent: { config: { image, createOptions: sleeping } } });
  context.device = device;
  await device.agentRuns();
  for (const [name, createOptions] of [
    ['sensor', sleeping],
    ['printer', printing],
  ] as const) {
    const config = JSON.stringify({ image, createOptions });
    const body = [name, 'docker', config, {}, {}];
    await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
    await device.invoke('Start', { signature: 'sa{sv}', body: [name, {}] });
  }
  context.socketPath = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/mgmt.sock');
  context.others = await startTimes(device);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function startTimes({ machine }: ModulesRig): Promise<string> {
  const format = '{{.Name}} {{.State.StartedAt}} {{.State.Running}}';
  return machine.docker('inspect', '-f', format, 'edgeAgent', 'sensor', 'printer');
}

/** Requests that have nothing to do with the hostile ones. */
async function othersAreServed({ device, socketPath }: Context): Promise<void> {
  const state = device.rig.stateDirectory('modules');
  const requests = [
    ask(socketPath, 'GET', '/modules'),
    ask(join(state, 'mgmt.sock'), 'POST', '/modules/sensor/start'),
    ask(join(state, 'mnt/sensor/workload.sock'), 'GET', '/trust-bundle?api-version=2020-07-07'),
  ];
  const answers = await deadline(20_000, Promise.all(requests), 'the answers to others');
  assert.equal(
    answers.slice(0, 2).map(({ status }) => status),
    [200, 204],
  );
}

/** Runs an attack; the memory of the service stays within its bound, and it is the same process afterwards. */
async function bounded(context: Context, attack: () => Promise<void>): Promise<void> {
  const { rig } = context.device;
  const pid = await rig.processOf('modules');
  const before = await residentBytes(pid);
  let most = 0;
  const timer = setInterval(() => {
    void residentBytes(pid).then((bytes) => {
      most = Math.max(most, bytes);
    });
  }, 50);
  try {
    await attack();
  } finally {
    clearInterval(timer);
  }
  await othersAreServed(context);
  assert.is(await rig.processOf('modules'), pid);
  assert.ok(most - before < growthBytes, `grown by ${(most - before) >> 20} MiB`);
}

async function residentBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? 0) << 10;
}

async function connected(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath).on('error', () => undefined);
  await deadline(20_000, once(socket, 'connect'), 'a connection');
  return socket;
}

function closeAll(all: readonly { destroy: () => void }[]): void {
  for (const each of all) each.destroy();
}

test('1000 idle connections', async (context) => {
  await bounded(context, async () => {
    const idle = await Promise.all(
      Array.from({ length: 1000 }, () => connected(context.socketPath)),
    );
    await othersAreServed(context);
    closeAll(idle);
  });
});

test('requests that are sent half', async (context) => {
  const { socketPath } = context;
  await bounded(context, async () => {
    const heads = Array.from({ length: 50 }, () => new RawClient(socketPath));
    for (const client of heads) client.send(`POST /modules?${version} HTTP/1.1\r\nHost: x\r\nA`);
    const bodies = Array.from({ length: 50 }, () => new RawClient(socketPath));
    const headers = { 'Content-Length': '1000', 'Content-Type': 'application/json' };
    for (const client of bodies) {
      client.send(rawRequest(`PUT /modules/sensor?${version}`, { headers }), '{"name":"sensor"');
    }
    await othersAreServed(context);
    for (const client of bodies) {
      assert.match((await client.response()).statusLine, / 408 /);
    }
    closeAll([...heads, ...bodies].map(({ socket }) => socket));
  });
});

test('bodies of 100 MB, and chunks without an end', async (context) => {
  const { socketPath } = context;
  const piece = Buffer.alloc(1 << 20, 0x20);
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]);
  const starts: readonly (readonly [Readonly<Record<string, string>>, Buffer])[] = [
    [{ 'Content-Length': String(100 << 20) }, piece],
    [{ 'Transfer-Encoding': 'chunked' }, chunk],
  ];
  const begin = (headers: Readonly<Record<string, string>>): RawClient => {
    const all = { 'Content-Type': 'application/json', ...headers };
    return new RawClient(socketPath).send(rawRequest(`POST /modules?${version}`, { headers: all }));
  };
  /** Sends on, whatever the answer is, until all is sent or the connection closed. */
  const flood = async (headers: Readonly<Record<string, string>>, part: Buffer) => {
    using client = begin(headers);
    const isClosed = () => client.errorCode !== undefined || client.socket.destroyed;
    for (let sent = 0; sent < 100 && !isClosed(); sent++) {
      client.send(part);
      const isRead = (): boolean => client.socket.writableLength === 0 || isClosed();
      await until(20_000, 'the part to be read', isRead);
    }
    return isClosed() ? 'closed' : 'all was read';
  };
  const statusOf = async (headers: Readonly<Record<string, string>>, part: Buffer) => {
    using client = begin(headers).send(part, part);
    return (await client.response()).statusLine.split(' ')[1];
  };
  await bounded(context, async () => {
    const floods = Promise.all(starts.map(([headers, part]) => flood(headers, part)));
    const statuses = Promise.all(starts.map(([headers, part]) => statusOf(headers, part)));
    await othersAreServed(context);
    assert.equal(await statuses, ['413', '413']);
    assert.equal(await floods, ['closed', 'closed']);
  });
});

test('JSON that is malformed, deep or wide', async (context) => {
  const spec = (createOptions: string) =>
    `{"name":"evil","type":"docker","config":{"settings":{"image":"${image}","createOptions":${createOptions}}}}`;
  const deep = 400_000;
  const texts: readonly (readonly [number, string])[] = [
    [422, '['.repeat(deep)],
    [422, '['.repeat(deep) + ']'.repeat(deep)],
    [422, `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    [422, spec('['.repeat(deep) + ']'.repeat(deep))],
    [422, spec(`${'{"Labels":'.repeat(200)}1${'}'.repeat(200)}`)],
    [400, spec(`${'{"Unknown":'.repeat(100)}1${'}'.repeat(100)}`)],
    [400, spec(`{${Array.from({ length: 60_000 }, (_, at) => `"U${at}":1`).join()}}`)],
    [400, spec('{"Labels":{},"Labels":{}}')],
    [400, spec('{"__proto__":{"x":1}}')],
  ];
  await bounded(context, async () => {
    for (const [status, body] of texts) {
      using client = new RawClient(context.socketPath);
      const headers = { 'Content-Type': 'application/json' };
      client.send(rawRequest(`POST /modules?${version}`, { headers, body }));
      const { statusLine } = await client.response();
      assert.match(statusLine, ` ${status} `, body.slice(0, 120));
    }
  });
  assert.is((await ask(context.socketPath, 'GET', '/modules/evil')).status, 404);
});

test('logs that are followed and not read', async (context) => {
  const { socketPath } = context;
  const follow = async (): Promise<Socket> => {
    const socket = await connected(socketPath);
    socket.pause();
    socket.write(rawRequest(`GET /modules/printer/logs?follow=true&${version}`));
    return socket;
  };
  const status = async () => (await ask(socketPath, 'GET', '/modules/printer/logs?tail=1')).status;
  await bounded(context, async () => {
    const unread = await Promise.all(Array.from({ length: 16 }, follow));
    await until(20_000, 'the limit', async () => (await status()) === 503);
    await othersAreServed(context);
    closeAll(unread);
  });
  await until(20_000, 'a place', async () => (await status()) === 200);
});

test('support bundles that are cancelled half-way', async (context) => {
  const { socketPath } = context;
  await bounded(context, async () => {
    for (let times = 0; times < 3; times++) {
      const socket = await connected(socketPath);
      socket.write(rawRequest(`GET /systeminfo/supportbundle?${version}`));
      await deadline(20_000, once(socket, 'data'), 'its beginning');
      socket.destroy();
    }
    await othersAreServed(context);
  });
  await until(20_000, 'a place', async () => {
    const target = '/systeminfo/supportbundle?edge_runtime_only=true&since=1s';
    return (await ask(socketPath, 'GET', target)).status === 200;
  });
});

test('leaves the containers as they were', async ({ device, others }) => {
  assert.is(await startTimes(device), others);
});

test.run();
