/** The Module Runtime as a process beside an engine as a process: the runtime may be killed at any time. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { silentRegistry } from '../../support/engine/silent-registry.ts';
import { requestOn } from '../../support/workload/api.ts';

const test = suite<{ device: ModulesRig }>('modules and the life of the service');
const describe = ['a{sv}', '0'];
const sleeping = {
  image: ModulesRig.image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};

function creation(name: string, settings: object, ...options: readonly string[]) {
  const count = String(options.length / 3);
  return ['sssa{ss}a{sv}', name, 'docker', JSON.stringify(settings), '0', count, ...options];
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config: sleeping } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('leaves running modules alone when it is killed, and restores them', async ({ device }) => {
  await device.succeed('CreateModule', creation('sensor', sleeping));
  await device.succeed('Start', ['sa{sv}', 'sensor', '0']);
  const before = await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor');
  await device.rig.stop('modules', 'SIGKILL');
  assert.is(
    await device.machine.docker('inspect', '--format', '{{.State.Status}}', 'sensor'),
    'running',
  );
  await device.succeed('Describe', describe);
  await device.untilState('sensor', 'running');
  assert.is(await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor'), before);
  await device.succeed('DeleteModule', ['sa{sv}', 'sensor', '0']);
});

test('reports the restarts and the last exit of a module when it was restarted or killed', async ({
  device,
}) => {
  const once = '[ -e /tmp/1 ] && exec sleep 1000; echo >/tmp/1; exit 3';
  const createOptions = { ...sleeping.createOptions, Cmd: ['sh', '-c', once] };
  const settings = { ...sleeping, createOptions, imagePullPolicy: 'never' };
  await device.succeed('CreateModule', creation('failing', settings));
  await device.succeed('Start', ['sa{sv}', 'failing', '0']);
  const before = await device.untilModule(
    'failing',
    ({ RestartCount, State }) => RestartCount === 1 && State === 'running',
  );
  assert.is(before['RestartReason'], 'ended with exit code 3');
  const socket = join(device.rig.stateDirectory('modules'), 'mgmt.sock');
  const request = ['GET', '/modules/failing?api-version=2022-08-03'] as const;
  const details = await requestOn(socket, ...request);
  const { exitStatus } = Object(details.json['status']) as { exitStatus?: object }; // of a module
  assert.is(Reflect.get(Object(exitStatus), 'statusCode'), '3');
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await device.rig.stop('modules', signal);
    await device.succeed('Describe', describe);
    assert.equal(await device.untilState('failing', 'running'), before);
    assert.equal(await requestOn(socket, ...request), details);
  }
  await device.succeed('DeleteModule', ['sa{sv}', 'failing', '0']);
});

test('finishes a creation in which it was killed, whenever that was, with one container', async ({
  device,
}) => {
  for (const delayMs of [0, 60, 120, 200, 400]) {
    await device.agentRuns();
    const making = device.call('CreateModule', creation('sensor', sleeping), 'operator');
    await device.untilModule('sensor', ({ State }) => State !== undefined);
    await sleep(delayMs);
    await device.rig.stop('modules', 'SIGKILL');
    const { code, stderr } = await making;
    if (code !== 0) assert.match(stderr, /disconnected|no reply|NoReply/i);
    // killed before it was accepted, nothing exists yet; otherwise it resumes without a call
    const again = await device.call('CreateModule', creation('sensor', sleeping), 'operator');
    if (again.code !== 0) assert.match(again.stderr, /exists/);
    await device.untilState('sensor', 'created');
    assert.equal(await device.containers(), ['edgeAgent running', 'sensor created']);
    await device.succeed('DeleteModule', ['sa{sv}', 'sensor', '0']);
    await device.untilModule('sensor', ({ error }) => String(error).includes('no object'));
    assert.equal(await device.containers(), ['edgeAgent running']);
  }
});

test('finishes a deletion in which it was killed, and leaves nothing', async ({ device }) => {
  for (const delayMs of [0, 50, 100, 200]) {
    await device.succeed('CreateModule', creation('sensor', sleeping));
    await device.succeed('Start', ['sa{sv}', 'sensor', '0']);
    const deleting = device.call('DeleteModule', ['sa{sv}', 'sensor', '0'], 'operator');
    await sleep(delayMs);
    await device.rig.stop('modules', 'SIGKILL');
    const { code } = await deleting;
    await device.succeed('Describe', describe);
    // killed before the call was accepted, nothing may have been deleted yet
    if (code !== 0) await device.call('DeleteModule', ['sa{sv}', 'sensor', '0'], 'operator');
    await device.untilModule('sensor', ({ error }) => String(error).includes('no object'));
    assert.equal(await device.containers(), ['edgeAgent running']);
    const state = device.rig.stateDirectory('modules');
    assert.equal(await readdir(join(state, 'mnt')), ['edgeAgent']);
    const records = await readdir(join(state, 'modules'));
    assert.ok(!records.includes('sensor.json'), String(records));
    const histories = () => readdir(join(state, 'histories'));
    await until(30_000, 'no history', async () => !(await histories()).includes('sensor.json'));
  }
});

test('creates a module as soon as the previous one of its name is deleted', async ({ device }) => {
  await device.agentRuns();
  for (let left = 5; left > 0; left--) {
    await device.succeed('CreateModule', creation('sensor', sleeping));
    await device.succeed('DeleteModule', ['sa{sv}', 'sensor', '0']);
  }
  await device.succeed('CreateModule', creation('sensor', sleeping));
  assert.equal(await device.containers(), ['edgeAgent running', 'sensor created']);
  await device.succeed('DeleteModule', ['sa{sv}', 'sensor', '0']);
});

test('fails a call during which it is killed, and restores the module', async ({ device }) => {
  using _registry = await silentRegistry(device.machine, 5003);
  const slow = creation('slow', { image: '127.0.0.1:5003/slow:1' });
  const making = device.call('CreateModule', slow, 'operator');
  await device.untilState('slow', 'pulling');
  await device.rig.stop('modules', 'SIGKILL');
  assert.is.not((await making).code, 0);
  await device.succeed('Describe', describe);
  assert.is((await device.untilState('slow', 'pulling'))['Operation'], 'CreateModule');
  const joining = device.call('CreateModule', slow, 'operator');
  let hasEnded = false;
  void joining.finally(() => {
    hasEnded = true;
  });
  // it may not be on the bus yet
  await until(60_000, 'the end of the call that joined', async () => {
    await device.call('Cancel', ['sa{sv}', 'slow', '0'], 'operator');
    return hasEnded;
  });
  assert.match((await joining).stderr, /cancelled|is the wait/);
  await device.untilModule('slow', ({ error }) => String(error).includes('no object'));
});

test('reports why a module could not be created, also after a restart, until it is deleted', async ({
  device,
}) => {
  const absent = creation('imageless', { image: '127.0.0.1:9/absent:1' }, 'wait', 'b', 'false');
  await device.succeed('CreateModule', absent);
  const failed = await device.untilState('imageless', 'failed');
  assert.match(String(failed['LastError']), '127.0.0.1:9/absent:1');
  assert.is(failed['Operation'], '');
  await device.rig.stop('modules', 'SIGKILL');
  const { State, LastError } = await device.module('imageless');
  assert.equal([State, LastError], ['failed', failed['LastError']]);
  assert.match(
    (await device.call('Start', ['sa{sv}', 'imageless', '0'], 'operator')).stderr,
    'not created',
  );
  await device.succeed('DeleteModule', ['sa{sv}', 'imageless', '0']);
  await device.untilModule('imageless', ({ error }) => String(error).includes('no object'));
});

test.run();
