/** Updates of modules on a real engine: one that is good, ones that are rolled back, and the commands of an agent. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../../src/dbus/wire/variant.ts';
import { until } from '../../../support/deadline.ts';
import { ModulesRig, type RawCall } from '../../../support/engine/modules-rig.ts';
import { ask } from '../../../support/http/ask.ts';
import { unzipped } from '../../../support/zip/unzipped.ts';

const test = suite<{ device: ModulesRig }>('updates of modules');
const { image } = ModulesRig;
const run = promisify(execFile);
const old = options({ Cmd: ['sleep', '1000'] });
const interval = 100_000_000;
const healthy = { Test: ['CMD', 'true'], Interval: interval, Retries: 1 };
const slow = { Test: ['CMD', 'sleep', '60'], Interval: interval, Timeout: 60 * 10 * interval };
/** Is observed for a long time. */
const unproven = options({ Cmd: ['sleep', '2000'], Healthcheck: slow });

/** Settings with these create options. */
function options(createOptions: object) {
  const imagePullPolicy = 'never';
  return { image, imagePullPolicy, createOptions: { StopSignal: 'SIGKILL', ...createOptions } };
}

function call(name: string, config: object, wait = true): RawCall {
  const body = [name, 'docker', JSON.stringify(config), {}, { wait: new Variant('b', wait) }];
  return { signature: 'sssa{ss}a{sv}', body };
}

const named = (name: string): RawCall => ({ signature: 'sa{sv}', body: [name, {}] });

/** Creates and starts a module; returns the id of its container. */
async function started(device: ModulesRig, name: string): Promise<string> {
  await device.invoke('CreateModule', call(name, old));
  await device.invoke('Start', named(name));
  return idOf(device, name);
}

/** Begins an update of a module; returns the id of the new container, which is observed. */
async function tried(device: ModulesRig, name: string): Promise<string> {
  await device.invoke('UpdateModule', call(name, unproven, false));
  await device.untilModule(name, ({ ProgressText }) => ProgressText === 'trial');
  return idOf(device, name);
}

const idOf = (device: ModulesRig, name: string): Promise<string> =>
  device.machine.docker('inspect', '--format', '{{.Id}}', name);

/** Waits until the module runs and nothing is left of its update. */
async function untilAlone(device: ModulesRig, name: string): Promise<void> {
  const left = async () => [...(await device.containers()), await tags(device)].join();
  await until(20_000, 'the end of the clean-up', async () => (await left()) === `${name} running,`);
  await device.untilState(name, 'running');
}

/** The error of a call with its text. */
async function messageOf(device: ModulesRig, member: string, to: RawCall): Promise<string> {
  return device.invoke(member, to).then(() => 'no failure', String);
}

const tags = (device: ModulesRig): Promise<string> =>
  device.machine.docker('images', '--format', '{{.Repository}}:{{.Tag}}', 'iotedge-parked');

test.before(async (context) => {
  context.device = await ModulesRig.start({});
  await context.device.succeed('Describe', ['a{sv}', '0']);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test.after.each(async ({ device }) => {
  for (const line of await device.containers()) {
    const [name = ''] = line.split(' ');
    if (!name.includes('.')) await device.invoke('DeleteModule', named(name));
  }
  assert.equal([await device.containers(), await tags(device)], [[], '']);
});

test('replace a container once the health check of the new one succeeds', async ({ device }) => {
  const before = await started(device, 'web');
  const next = options({ Cmd: ['sleep', '2000'], Healthcheck: healthy });
  await device.invoke('UpdateModule', call('web', next));
  assert.equal([await device.containers(), await tags(device)], [['web running'], '']);
  assert.is.not(await idOf(device, 'web'), before);
  const { State, Operation, LastError, RestartReason } = await device.module('web');
  assert.equal([State, Operation, LastError, RestartReason], ['running', '', '', 'updated']);
});

for (const [what, next, reason] of [
  ['ends at once', options({ Cmd: ['false'] }), /ended with exit code 1/],
  [
    'is unhealthy',
    options({ Cmd: ['sleep', '1'], Healthcheck: { ...healthy, Test: ['CMD', 'false'] } }),
    /health check of the new instance failed/,
  ],
  ['cannot be started', options({ Cmd: ['/missing'] }), /missing/],
  ['the engine refuses', options({ HostConfig: { Memory: 1 } }), /memory/i],
] as const) {
  test(`bring the old container back when the new one ${what}`, async ({ device }) => {
    const before = await started(device, 'web');
    assert.match(await messageOf(device, 'UpdateModule', call('web', next)), reason);
    assert.equal([await device.containers(), await tags(device)], [['web running'], '']);
    assert.is(await idOf(device, 'web'), before);
    const { LastError, RestartReason } = await device.module('web');
    assert.match(String(LastError), reason);
    assert.is(RestartReason, 'its update was rolled back');
    const again = await messageOf(device, 'UpdateModule', call('web', next));
    assert.match(again, /rolled back and may be tried again in/);
    assert.match(again, reason);
    assert.is(await idOf(device, 'web'), before);
  });
}

test('keep what the new container printed last for the log of the module, and for nothing else', async ({
  device,
}) => {
  await started(device, 'web');
  const next = options({ Cmd: ['sh', '-c', 'echo no "$(echo database)"; exit 3'] });
  assert.match(await messageOf(device, 'UpdateModule', call('web', next)), /exit code 3/);
  const logOf = async () => {
    const [log] = await device.invoke('GetLogs', named('web'));
    return Buffer.from(log as Uint8Array).toString();
  };
  assert.match(await logOf(), /whose update was rolled back:\nno database\niotedge-modules: /);
  const socket = join(device.rig.stateDirectory('modules'), 'mgmt.sock');
  const { body } = await ask(socket, 'GET', '/modules/web/logs');
  assert.match(body.toString(), /rolled back:\n[^\n]*no database\n[^\n]*iotedge-modules: /);
  const bundle = await ask(socket, 'GET', '/systeminfo/supportbundle');
  const { 'logs/web_log.txt': bundled = '' } = await unzipped(bundle.body);
  assert.match(bundled, /rolled back:\n[^\n]*Z no database\n[^\n]*iotedge-modules: /);
  const described = JSON.stringify(
    await device.invoke('Describe', { signature: 'a{sv}', body: [{}] }),
  );
  assert.not.match(described, /no database/);
  await tried(device, 'web');
  assert.not.match(await logOf(), /no database/);
  await device.invoke('Cancel', named('web'));
  await device.untilModule('web', ({ Operation }) => Operation === '');
  await untilAlone(device, 'web');
});

test('leave the container alone when the image cannot be pulled', async ({ device }) => {
  await started(device, 'web');
  const { StartedAt } = await device.module('web');
  const absent = { image: '127.0.0.1:9/absent:1' };
  assert.match(await messageOf(device, 'UpdateModule', call('web', absent)), /127\.0\.0\.1:9/);
  const now = await device.module('web');
  assert.equal([now['State'], now['StartedAt'], now['Image']], ['running', StartedAt, image]);
  assert.match(String(now['LastError']), /127\.0\.0\.1:9/);
});

test('are rolled back by Cancel, and are not refused later', async ({ device }) => {
  const before = await started(device, 'web');
  await tried(device, 'web');
  await device.invoke('Cancel', named('web'));
  await device.untilModule('web', ({ Operation }) => Operation === '');
  await untilAlone(device, 'web');
  assert.is(await idOf(device, 'web'), before);
  await device.invoke('UpdateModule', call('web', unproven, false));
  await device.invoke('Cancel', named('web'));
  await device.untilModule('web', ({ Operation }) => Operation === '');
});

test('go on when another client stops or kills the new container', async ({ device }) => {
  await started(device, 'web');
  const id = await tried(device, 'web');
  for (const verb of ['stop', 'kill']) {
    const { StartedAt: before } = await device.module('web');
    await device.machine.docker(verb, 'web');
    await device.untilModule(
      'web',
      ({ ProgressText, StartedAt }) => ProgressText === 'trial' && StartedAt !== before,
    );
    assert.is(await idOf(device, 'web'), id, verb);
  }
  await device.invoke('Cancel', named('web'));
  await device.untilModule('web', ({ Operation }) => Operation === '');
  await untilAlone(device, 'web');
});

test('are rolled back although the engine cannot remove the new container', async ({ device }) => {
  const { machine } = device;
  const before = await started(device, 'web');
  const bad = await tried(device, 'web');
  const upper = await machine.docker('inspect', '--format', '{{.GraphDriver.Data.UpperDir}}', bad);
  await run('chattr', ['+i', upper]);
  try {
    await device.invoke('Cancel', named('web'));
    const { State } = await device.untilModule('web', ({ LastError }) =>
      /update cannot be removed.*not permitted/.test(String(LastError)),
    );
    assert.is(State, 'running');
    const [parked = '', ...others] = (await device.containers()).toSorted().toReversed();
    assert.match(parked, new RegExp(`^web\\.parked-${bad.slice(0, 12)} (dead|removing)$`));
    assert.equal(others, ['web running']);
    assert.is(await idOf(device, 'web'), before);
  } finally {
    await run('chattr', ['-i', upper]);
  }
});

test('create a lost container again from the image that it had, whatever its tag names now', async ({
  device,
}) => {
  const { machine } = device;
  const imageOf = (name: string) => machine.docker('inspect', '--format', '{{.Image}}', name);
  const before = await started(device, 'web');
  const former = await imageOf('web');
  await tried(device, 'web');
  await machine.docker('commit', '--pause=false', 'web', image);
  try {
    await machine.docker('rm', before);
    await device.invoke('Cancel', named('web'));
    await untilAlone(device, 'web');
    assert.is(await imageOf('web'), former);
    const again = await idOf(device, 'web');
    assert.is.not(again, before);
    await device.invoke('Restart', named('web'));
    await device.untilState('web', 'running');
    assert.is(await idOf(device, 'web'), again);
  } finally {
    await machine.docker('tag', former, image);
  }
});

test('replace the new container of an update that is still observed', async ({ device }) => {
  const first = await started(device, 'web');
  await device.invoke('Stop', named('web'));
  await device.invoke('UpdateModule', call('web', options({ Cmd: ['sleep', '2000'] })));
  await device.invoke('Start', named('web'));
  await device.invoke('UpdateModule', call('web', options({ Cmd: ['sleep', '3000'] }), false));
  // not after the first one has proved good: then there is nothing to go back to
  const format = '{{.Config.Cmd}} {{.State.Running}}';
  const shown = () => device.machine.docker('inspect', '--format', format, 'web').catch(() => '');
  await until(60_000, 'the second update', async () => (await shown()) === '[sleep 3000] true');
  await device.invoke('Cancel', named('web'));
  const isBack = async () => (await idOf(device, 'web').catch(() => '')) === first;
  await until(60_000, 'the last that has proved good', isBack);
  await device.untilModule(
    'web',
    ({ Operation, State }) => Operation === '' && State === 'running',
  );
});

test('of a stopped module wait for its start, and bring the old container back', async ({
  device,
}) => {
  const before = await started(device, 'web');
  await device.invoke('Stop', named('web'));
  await device.invoke('UpdateModule', call('web', options({ Cmd: ['sleep', '1'] })));
  const parked = `web.parked-${before.slice(0, 12)} exited`;
  assert.equal(await device.containers(), [parked, 'web created'].toSorted());
  await device.invoke('Start', named('web'));
  await device.untilModule('web', ({ LastError }) => String(LastError).includes('ended'));
  await untilAlone(device, 'web');
  assert.is(await idOf(device, 'web'), before);
});

test('end as usual when a power cut has damaged the old container', async ({ device }) => {
  const before = await started(device, 'web');
  await device.invoke('Stop', named('web'));
  await device.invoke('UpdateModule', call('web', options({ Cmd: ['sleep', '2000'] })));
  const format = '{{.GraphDriver.Data.UpperDir}}';
  const layer = await device.machine.docker('inspect', '--format', format, before);
  await device.machine.stopDaemon();
  await rm(join(layer, '..'), { recursive: true });
  await device.machine.startDaemon();
  await device.untilModule('web', ({ State }) => State === 'created' || State === 'stopped');
  await device.invoke('Start', named('web'));
  await device.untilState('web', 'running');
});

test.run();
