import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { moduleInterface } from '../../../src/interfaces/modules.ts';
import { introspected } from '../../support/clients/introspection.ts';
import { until } from '../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../support/engine/modules-rig.ts';
import { silentRegistry } from '../../support/engine/silent-registry.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('org.iotedge.Modules1');
const manager = ['org.iotedge.Modules1', '/org/iotedge/Modules1', 'org.iotedge.Modules1'];
const { image } = ModulesRig;
const plain = {
  image,
  createOptions: { Cmd: ['sh', '-c', 'echo hello; sleep 1000'], StopSignal: 'SIGKILL' },
};
const config = JSON.stringify({ ...plain, auth: { username: 'user', password: 'hunter2' } });
const none = ['a{sv}', '0'];

test.before(async (context) => {
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
  context.device = await ModulesRig.start({ agent: { config: { image, createOptions } } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function byName(name: string): RawCall {
  return { signature: 'sa{sv}', body: [name, {}] };
}

function creation(name: string, json: string, type = 'docker'): RawCall {
  return { signature: 'sssa{ss}a{sv}', body: [name, type, json, {}, {}] };
}

/** The JSON object in the output of busctl. */
function jsonOf(printed: string): Record<string, unknown> {
  const text: unknown = JSON.parse(printed.trim().slice('s '.length));
  return JSON.parse(String(text)) as Record<string, unknown>; // of ours
}

test('starts the agent when it is started', async ({ device }) => {
  await device.succeed('Describe', none);
  await device.untilState('edgeAgent', 'running');
  const get = ['get-property', ...manager, 'Engine', 'Agent', 'Health', 'LastError'];
  const { stdout } = await device.rig.busctl(get, 'alice');
  assert.match(stdout, /"reachable" b true/);
  assert.match(stdout, /s "edgeAgent"\ns "ok"\ns ""/);
});

test('creates, starts, restarts, stops and deletes a module, and reads its log', async ({
  device,
}) => {
  const created = await device.succeed('CreateModule', [
    'sssa{ss}a{sv}',
    'sensor',
    'docker',
    config,
    '1',
    'COLOUR',
    'vermilion',
    '0',
  ]);
  assert.is(created.trim(), 'o "/org/iotedge/Modules1/module/sensor"');
  await device.untilState('sensor', 'created');
  assert.is(await device.succeed('Start', ['sa{sv}', 'sensor', '0']), '');
  await device.untilState('sensor', 'running');
  const restart = ['sa{sv}', 'sensor', '1', 'timeout_s', 'u', '1'];
  assert.is(await device.succeed('Restart', restart), '');
  await device.untilState('sensor', 'running');
  const lastLine = (): Promise<string> =>
    device.succeed('GetLogs', ['sa{sv}', 'sensor', '1', 'tail', 'i', '1']);
  const hello = 'ay 6 104 101 108 108 111 10';
  await until(30_000, 'what it prints', async () => (await lastLine()).trim() === hello);
  const shown = await device.succeed('GetConfig', ['sa{sv}', 'sensor', '0']);
  assert.equal(jsonOf(shown), { ...plain, auth: { username: 'user' } });
  const described = await device.succeed('Describe', none);
  assert.is(jsonOf(described)['service'], 'modules');
  assert.match(described, 'sensor');
  const journal = await device.rig.log('modules');
  assert.match(journal, 'module step done');
  for (const secret of [/hunter2/, /vermilion/]) {
    assert.not.match(shown + described, secret);
    assert.not.match(journal, secret);
  }
  assert.is(await device.succeed('Stop', ['sa{sv}', 'sensor', '0']), '');
  await device.untilState('sensor', 'stopped');
  assert.is(await device.succeed('DeleteModule', ['sa{sv}', 'sensor', '0']), '');
  assert.is(await device.errorOf('Start', byName('sensor')), 'NotFound');
});

test('is introspected with the names of arguments, and with properties', async ({ device }) => {
  const [name = '', path = ''] = manager;
  await introspected(device.rig, 'modules');
  const agent = ['introspect', name, `${path}/module/edgeAgent`];
  const { stdout: table } = await device.rig.busctl(agent, 'alice');
  for (const member of Object.keys(moduleInterface.properties)) {
    assert.match(table, new RegExp(`^\\.${member} +property `, 'm'));
  }
});

test('protects its state and the sockets of modules from other users', async ({ device }) => {
  const state = device.rig.stateDirectory('modules');
  for (const place of ['', 'modules', 'mnt', 'mnt/edgeAgent/workload.sock', 'digest.key']) {
    const { code, stderr } = await device.rig.run('ls', [`${state}/${place}`], { user: 'alice' });
    assert.is.not(code, 0, place);
    assert.match(stderr, 'Permission denied');
  }
});

test('describes the machine', async ({ device }) => {
  const { code, stdout } = await device.call('GetSystemInfo', none, 'alice');
  assert.is(code, 0);
  assert.match(stdout, /"os_type" s "linux"/);
});

test('reports what the machine and its modules use', async ({ device }) => {
  const { code, stdout } = await device.call('GetResources', none, 'alice');
  assert.is(code, 0);
  assert.match(stdout, /"total_ram" t [1-9]/);
  assert.match(stdout, /"disks" a\(sttss\) [1-9]/);
  assert.match(stdout, /"modules" a\(sdttttttt\) 1 "edgeAgent" [0-9.e-]+ [1-9]/);
});

test('cancels a pull', async ({ device }) => {
  using _ = await silentRegistry(device.machine, 5002);
  const slow = JSON.stringify({ image: '127.0.0.1:5002/slow:1' });
  const creating = device.call(
    'CreateModule',
    ['sssa{ss}a{sv}', 'slow', 'docker', slow, '0', '0'],
    'operator',
  );
  await device.untilState('slow', 'pulling');
  assert.is(await device.succeed('Cancel', ['sa{sv}', 'slow', '0']), '');
  assert.match((await creating).stderr, /cancelled/);
});

test('survives a configuration that is too deep from an unauthorized caller', async ({
  device,
}) => {
  const depth = 200_000;
  const deep = `{"image":"a","createOptions":{"HostConfig":${'['.repeat(depth)}${']'.repeat(depth)}}}`;
  assert.is(await device.errorOf('CreateModule', creation('sensor', deep), 'alice'), 'InvalidArgs');
  const pid = await device.rig.processOf('modules');
  await device.succeed('Describe', none);
  assert.is(await device.rig.processOf('modules'), pid);
});

const methods: Readonly<Record<string, (name: string) => RawCall>> = {
  CreateModule: (name) => creation(name, config),
  Start: byName,
  Stop: byName,
  Restart: byName,
  DeleteModule: byName,
  GetConfig: byName,
  GetLogs: byName,
  OpenLog: byName,
  Cancel: byName,
};

for (const [method, make] of Object.entries(methods)) {
  test(`denies ${method} to an unauthorized caller, whether the module exists or not`, async ({
    device,
  }) => {
    assert.is(await device.errorOf(method, make('sensor'), 'alice'), 'AccessDenied');
    assert.is(await device.errorOf(method, make('edgeAgent'), 'alice'), 'AccessDenied');
  });

  test(`refuses a malformed ${method} with InvalidArgs`, async ({ device }) => {
    const { signature, body } = make('../x');
    assert.is(await device.errorOf(method, { signature: '', body: [] }), 'InvalidArgs');
    assert.is(await device.errorOf(method, { signature, body }), 'InvalidArgs');
    // polkit authorizes `$edgeAgent`; the call must not act on `edgeAgent`
    assert.is(await device.errorOf(method, make('$edgeAgent')), 'InvalidArgs');
    const unknown = [...body.slice(0, -1), { unheard: new Variant('s', '') }];
    assert.is(await device.errorOf(method, { signature, body: unknown }), 'InvalidArgs');
  });
}

test('reports what is wrong with a configuration that CreateModule refuses', async ({ device }) => {
  const create = (call: RawCall) => device.errorOf('CreateModule', call);
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

test('passes module, type, image and elevated to polkit', async ({ device }) => {
  await device.rig.setRules(`polkit.addRule(function (action, subject) {
    if (action.id !== 'org.iotedge.modules1.run' || subject.user !== 'operator') return;
    var details = ['module', 'type', 'image', 'elevated'].map(function (key) { return action.lookup(key); });
    return details.join() === 'picky,docker,127.0.0.1:9/x:1,false' ? polkit.Result.YES : polkit.Result.NO;
  });`);
  const json = '{"image":"127.0.0.1:9/x:1"}';
  assert.is(await device.errorOf('CreateModule', creation('other', json)), 'AccessDenied');
  assert.is(await device.errorOf('CreateModule', creation('picky', json)), 'Unavailable');
});

test('stops in order, and leaves the agent running for the next process', async ({ device }) => {
  const id = await device.machine.docker('ps', '-q', '--filter', 'name=edgeAgent');
  await device.rig.stop('modules');
  assert.is(await device.machine.docker('ps', '-q', '--filter', 'name=edgeAgent'), id);
  await device.call('Describe', none);
  await device.untilState('edgeAgent', 'running');
  assert.is(await device.machine.docker('ps', '-q', '--filter', 'name=edgeAgent'), id);
});

test('reports that the engine is unavailable, and continues when it is back', async ({
  device,
}) => {
  await device.machine.stopDaemon();
  await device.untilState('edgeAgent', 'unknown');
  await device.machine.startDaemon();
  await device.untilState('edgeAgent', 'running');
});

test.run();
