/** Callers and modules that send as many requests as they can. */
import { chmod } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectAs } from '../../../support/clients/connect-as.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { CountingProxy } from '../../../support/engine/proxy/counting-proxy.ts';
import { rigUsers } from '../../../support/rig/rig-users.ts';

interface Context {
  device: ModulesRig;
  proxy: CountingProxy;
}

const test = suite<Context>('request floods');
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image: ModulesRig.image, createOptions } };

/** The status of a request on a module's socket. */
function ask(socketPath: string, path: string, connections: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, agent: connections, timeout: 30_000 }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    call.on('timeout', () => call.destroy(new Error('no response')));
    call.on('error', reject);
    call.end();
  });
}

test.before(async (context) => {
  const device = await ModulesRig.start({ agent });
  context.device = device;
  const socketPath = join(device.rig.directory, 'engine/counted.sock');
  context.proxy = await CountingProxy.start(socketPath, device.machine.socketPath);
  await chmod(socketPath, 0o666);
  await device.restart({ agent, moby_runtime: { uri: `unix://${socketPath}` } });
  await device.agentRuns();
});

test.after(async ({ device, proxy }) => {
  await device[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

test('counts the refused requests of a module in the journal', async ({ device }) => {
  const socket = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/workload.sock');
  const connections = new Agent({ keepAlive: true, maxSockets: 8 });
  const flood = (path: string) =>
    Promise.all(Array.from({ length: 30 }, () => ask(socket, path, connections)));
  for (let round = 0; round < 10; round++) {
    assert.equal(new Set(await flood('/trust-bundle')), new Set([400]));
    assert.equal(new Set(await flood(`/absent-${round}?api-version=2018-06-28`)), new Set([404]));
  }
  connections.destroy();
  const lines = async () =>
    (await device.rig.log('modules')).split('\n').filter((line) => /request refused/.test(line));
  assert.is((await lines()).filter((line) => !/repeats=/.test(line)).length, 2);
  const counted = async () => {
    const found = (await lines()).map((line) => Number(/repeats=([0-9]+)/.exec(line)?.[1] ?? 1));
    return found.reduce((sum, count) => sum + count, 0);
  };
  await until(30_000, 'the count', async () => (await counted()) === 600);
});

for (const [member, path] of [
  ['GetSystemInfo', '/info'],
  ['GetResources', '/containers/edgeAgent/stats'],
] as const) {
  test(`queries the engine once for all callers of ${member}`, async ({ device, proxy }) => {
    const uid = rigUsers.alice;
    await using bus = await connectAs(device.rig.address, { uid, gid: uid });
    const before = proxy.count(path);
    const one = () =>
      bus.call({
        destination: 'org.iotedge.Modules1',
        path: '/org/iotedge/Modules1',
        interface: 'org.iotedge.Modules1',
        member,
        signature: 'a{sv}',
        body: [{}],
      });
    const replies = await Promise.all(Array.from({ length: 48 }, one));
    assert.is(replies.length, 48);
    const requests = proxy.count(path) - before;
    assert.ok(requests >= 1 && requests < 8, `${requests} times`);
  });
}

test('does not ask the engine about other modules when one is created', async ({
  device,
  proxy,
}) => {
  const asked = (): number => proxy.count('/containers/edgeAgent/json');
  await sleep(1_000); // it has just been started
  const before = asked();
  const config = JSON.stringify({ image: ModulesRig.image, createOptions });
  const creation = { signature: 'sssa{ss}a{sv}', body: ['second', 'docker', config, {}, {}] };
  await device.invoke('CreateModule', creation);
  await sleep(1_000);
  assert.is(asked(), before);
});

test('asks the engine for the image only before a container is created from it', async ({
  device,
  proxy,
}) => {
  await sleep(1_000);
  const before = proxy.urls.length;
  const config = { image: ModulesRig.image, createOptions, imagePullPolicy: 'never' };
  const body = ['third', 'docker', JSON.stringify(config), { SECRET: 'hunter2' }, {}];
  await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
  const requests = proxy.urls.slice(before);
  assert.not.ok(requests.some((url) => url.includes('hunter2')));
  const paths = requests.map((url) => url.replace(/^\/v[0-9.]+|\?.*$/g, ''));
  assert.equal(
    paths.map((path) => path.replace(/[0-9a-f]{64}/, 'ID')),
    [
      '/containers/third/json',
      '/containers/json', // one of another name
      '/images/localhost/busybox:1/json',
      '/networks/azure-iot-edge',
      '/containers/create',
      '/containers/ID/json',
      '/containers/third/json',
    ],
  );
});

test.run();
