import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../src/dbus/variant.ts';
import { isServiceError } from '../../../src/errors.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { connectAs } from '../../support/connect-as.ts';
import { importBusybox } from '../../support/engine/images.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { Rig } from '../../support/rig.ts';
import { startRigCloud, useCloud } from '../../support/rig-cloud.ts';
import { type RigUser, rigUsers } from '../../support/rig-users.ts';

interface Context {
  rig: Rig;
  machine: PrivateEngine;
  cloud: Cloud;
}

const test = suite<Context>('org.iotedge.Modules1');
const manager = ['org.iotedge.Modules1', '/org/iotedge/Modules1', 'org.iotedge.Modules1'];
const image = 'localhost/busybox:1';
const config = JSON.stringify({
  image,
  createOptions: { Cmd: ['sh', '-c', 'echo hello; sleep 1000'], StopSignal: 'SIGKILL' },
  auth: { username: 'user', password: 'hunter2' },
});
const none = ['a{sv}', '0'];

test.before(async (context) => {
  const agent = {
    config: { image, createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' } },
  };
  context.rig = await Rig.start({ settings: { modules: { agent } } });
  context.cloud = await startRigCloud(context.rig);
  await useCloud(context.rig, context.cloud);
  context.machine = await PrivateEngine.start(`${context.rig.directory}/engine/docker.sock`);
  await importBusybox(context.machine, image);
});

test.after(async ({ rig, machine, cloud }) => {
  await machine[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
  await cloud[Symbol.asyncDispose]();
});

function call(rig: Rig, method: string, args: readonly string[], user?: RigUser) {
  return rig.busctl(['call', '--timeout=60', ...manager, method, ...args], user);
}

async function works(rig: Rig, method: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await call(rig, method, args, 'operator');
  assert.is(code, 0, `${method}: ${stderr}`);
  return stdout;
}

interface RawCall {
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** The code of the error that a call by a user of the rig ends with. */
async function errorOf(
  rig: Rig,
  member: string,
  { signature, body }: RawCall,
  user: 'alice' | 'operator' = 'operator',
): Promise<string> {
  const uid = rigUsers[user];
  await using bus = await connectAs(rig.address, { uid, gid: uid });
  const [destination = '', path = '', name = ''] = manager;
  try {
    await bus.call({ destination, path, interface: name, member, signature, body });
    return 'none';
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

function byName(name: string): RawCall {
  return { signature: 'sa{sv}', body: [name, {}] };
}

function creation(name: string, json: string, type = 'docker'): RawCall {
  return { signature: 'sssa{ss}a{sv}', body: [name, type, json, {}, {}] };
}

async function untilState(rig: Rig, name: string, state: string): Promise<void> {
  const path = `/org/iotedge/Modules1/module/${name}`;
  const deadline = Date.now() + 20_000;
  for (;;) {
    const get = [
      'get-property',
      'org.iotedge.Modules1',
      path,
      'org.iotedge.Modules1.Module',
      'State',
    ];
    const { stdout } = await rig.busctl(get, 'alice');
    if (stdout.trim() === `s "${state}"`) return;
    if (Date.now() > deadline) throw new Error(`${name} is ${stdout}`);
    await sleep(50);
  }
}

test('starts the agent when it is started', async ({ rig }) => {
  await works(rig, 'Describe', none);
  await untilState(rig, 'edgeAgent', 'running');
  const get = ['get-property', ...manager, 'Engine', 'Agent', 'Health', 'LastError'];
  const { stdout } = await rig.busctl(get, 'alice');
  assert.match(stdout, /"reachable" b true/);
  assert.match(stdout, /s "edgeAgent"\ns "ok"\ns ""/);
});

test('creates, starts, restarts, stops and deletes a module, and reads its log', async ({
  rig,
}) => {
  const created = await works(rig, 'Create', [
    'sssa{ss}a{sv}',
    'sensor',
    'docker',
    config,
    '1',
    'COLOUR',
    'red',
    '0',
  ]);
  assert.is(created.trim(), 'o "/org/iotedge/Modules1/module/sensor"');
  await untilState(rig, 'sensor', 'created');
  await works(rig, 'Start', ['sa{sv}', 'sensor', '0']);
  await untilState(rig, 'sensor', 'running');
  await works(rig, 'Restart', ['sa{sv}', 'sensor', '1', 'timeout_s', 'u', '1']);
  await untilState(rig, 'sensor', 'running');
  await sleep(300);
  const log = await works(rig, 'GetLogs', ['sa{sv}', 'sensor', '1', 'tail', 'i', '1']);
  assert.is(log.trim(), 'ay 6 104 101 108 108 111 10');
  const shown = await works(rig, 'GetConfig', ['sa{sv}', 'sensor', '0']);
  assert.match(shown, /localhost\/busybox:1/);
  assert.not.match(shown, /hunter2/);
  await works(rig, 'Stop', ['sa{sv}', 'sensor', '0']);
  await untilState(rig, 'sensor', 'stopped');
  await works(rig, 'Delete', ['sa{sv}', 'sensor', '0']);
  assert.is(await errorOf(rig, 'Start', byName('sensor')), 'NotFound');
});

test('tells what the machine is', async ({ rig }) => {
  const { code, stdout } = await call(rig, 'GetSystemInfo', none, 'alice');
  assert.is(code, 0);
  assert.match(stdout, /"os_type" s "linux"/);
});

test('cancels a pull', async ({ rig, machine }) => {
  const swallow = ['sh', '-c', 'cat >/dev/null'];
  const silent = machine.spawnInNetwork('busybox', 'nc', '-ll', '-p', '5002', '-e', ...swallow);
  try {
    await sleep(300);
    const slow = JSON.stringify({ image: '127.0.0.1:5002/slow:1' });
    const making = call(
      rig,
      'Create',
      ['sssa{ss}a{sv}', 'slow', 'docker', slow, '0', '0'],
      'operator',
    );
    await untilState(rig, 'slow', 'pulling');
    await works(rig, 'Cancel', ['sa{sv}', 'slow', '0']);
    assert.match((await making).stderr, /cancelled/);
  } finally {
    silent.kill('SIGKILL');
  }
});

const methods: Readonly<Record<string, (name: string) => RawCall>> = {
  Create: (name) => creation(name, config),
  Start: byName,
  Stop: byName,
  Restart: byName,
  Delete: byName,
  GetConfig: byName,
  GetLogs: byName,
  Cancel: byName,
};

for (const [method, make] of Object.entries(methods)) {
  test(`denies ${method} to who may not, whether the module is there or not`, async ({ rig }) => {
    assert.is(await errorOf(rig, method, make('sensor'), 'alice'), 'AccessDenied');
    assert.is(await errorOf(rig, method, make('edgeAgent'), 'alice'), 'AccessDenied');
  });

  test(`says InvalidArgs for a malformed ${method}`, async ({ rig }) => {
    const { signature, body } = make('../x');
    assert.is(await errorOf(rig, method, { signature: '', body: [] }), 'InvalidArgs');
    assert.is(await errorOf(rig, method, { signature, body }), 'InvalidArgs');
    const unknown = [...body.slice(0, -1), { unheard: new Variant('s', '') }];
    assert.is(await errorOf(rig, method, { signature, body: unknown }), 'InvalidArgs');
  });
}

test('says what is wrong with what Create cannot make', async ({ rig }) => {
  const create = (call: RawCall) => errorOf(rig, 'Create', call);
  assert.is(await create(creation('sensor', '{')), 'InvalidArgs');
  assert.is(await create(creation('sensor', '{}')), 'InvalidArgs');
  assert.is(await create(creation('sensor', '{}', 'other')), 'InvalidArgs');
  assert.is(await create(creation('a:b', '{"image":"a"}')), 'InvalidArgs');
  assert.is(await create(creation('sensor', '{}', 'systemd')), 'NotSupported');
  assert.is(await create(creation('edgeAgent', config)), 'AlreadyExists');
  const privileged = '{"image":"a","createOptions":{"HostConfig":{"Privileged":true}}}';
  assert.is(await create(creation('sensor', privileged)), 'AccessDenied');
  assert.is(await create(creation('sensor', ' '.repeat((1 << 20) + 1))), 'LimitsExceeded');
});

test('asks polkit with module, type, image and elevated', async ({ rig }) => {
  await rig.writeRules(`polkit.addRule(function (action, subject) {
    if (action.id !== 'org.iotedge.modules1.run' || subject.user !== 'operator') return;
    var told = ['module', 'type', 'image', 'elevated'].map(function (key) { return action.lookup(key); });
    return told.join() === 'picky,docker,127.0.0.1:9/x:1,false' ? polkit.Result.YES : polkit.Result.NO;
  });`);
  await rig.stopPolkit();
  await rig.startPolkit();
  const json = '{"image":"127.0.0.1:9/x:1"}';
  assert.is(await errorOf(rig, 'Create', creation('other', json)), 'AccessDenied');
  assert.is(await errorOf(rig, 'Create', creation('picky', json)), 'Unavailable');
});

test('stops in order, and leaves the agent running for the next process', async ({
  rig,
  machine,
}) => {
  const id = await machine.docker('ps', '-q', '--filter', 'name=edgeAgent');
  await rig.stop('modules');
  assert.is(await machine.docker('ps', '-q', '--filter', 'name=edgeAgent'), id);
  await call(rig, 'Describe', none);
  await untilState(rig, 'edgeAgent', 'running');
  assert.is(await machine.docker('ps', '-q', '--filter', 'name=edgeAgent'), id);
});

test('says that the engine is gone, and goes on when it is back', async ({ rig, machine }) => {
  await machine.stopDaemon();
  await untilState(rig, 'edgeAgent', 'unknown');
  await machine.startDaemon();
  await untilState(rig, 'edgeAgent', 'running');
});

test('runs where there is no engine, and says so', async () => {
  await using rig = await Rig.start({ token: false });
  const { code } = await call(rig, 'GetSystemInfo', none, 'alice');
  assert.is(code, 0);
  const get = ['get-property', ...manager, 'Engine', 'Health', 'LastError'];
  const deadline = Date.now() + 10_000;
  let shown = '';
  while (!/degraded/.test(shown) && Date.now() < deadline) {
    shown = (await rig.busctl(get, 'alice')).stdout;
    await sleep(50);
  }
  assert.match(shown, /"reachable" b false[\s\S]*s "degraded"\ns ".*engine/);
});

test.run();
