/** The Module Runtime as a process beside an engine as a process: either may end at any time. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { owner, ownerLabel } from '../../../src/modules/labels.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('modules and the life of the engine');
const { image } = ModulesRig;
const describe = ['a{sv}', '0'];

function creation(name: string, settings: object, ...options: readonly string[]) {
  const count = String(options.length / 3);
  return ['sssa{ss}a{sv}', name, 'docker', JSON.stringify(settings), '0', count, ...options];
}

const sleeping = {
  image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};

/** The names of all containers of the runtime, with their states. */
async function containers({ machine }: ModulesRig): Promise<readonly string[]> {
  const filter = `label=${ownerLabel}=${owner}`;
  const format = '{{.Names}} {{.State}}';
  const lines = await machine.docker('ps', '-a', '--filter', filter, '--format', format);
  return lines.split('\n').filter(Boolean).toSorted();
}

/** Starts the service when it does not run. */
async function agentRuns(device: ModulesRig): Promise<void> {
  await device.works('Describe', describe);
  await device.untilState('edgeAgent', 'running');
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config: sleeping } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('says that there is no engine, and starts the agent once there is one', async ({ device }) => {
  await device.machine.stopDaemon();
  assert.is((await device.call('GetSystemInfo', describe, 'alice')).code, 0);
  const absent = await device.untilManager(({ Health }) => Health === 'degraded');
  assert.match(String(absent['LastError']), /engine/);
  const agent = await device.untilModule('edgeAgent', ({ LastError }) => LastError !== '');
  assert.is(agent['State'], 'unknown');
  assert.match(String(agent['LastError']), 'the container engine cannot be reached');
  await device.machine.startDaemon();
  await device.untilState('edgeAgent', 'running');
  const there = await device.untilManager(({ Health }) => Health === 'ok');
  assert.is(there['LastError'], '');
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`goes on with the same modules when the engine ended by ${signal} and is back`, async ({
    device,
  }) => {
    await agentRuns(device);
    await device.machine.stopDaemon(signal);
    await device.untilModule(
      'edgeAgent',
      ({ State, LastError }) => State === 'unknown' && String(LastError).includes('engine'),
    );
    await device.untilManager(({ Health, LastError }) => Health === 'degraded' && LastError !== '');
    await device.machine.startDaemon();
    await device.untilState('edgeAgent', 'running');
    await device.untilManager(({ Health }) => Health === 'ok');
    assert.equal(await containers(device), ['edgeAgent running']);
  });
}

test('leaves running modules alone when it is killed, and knows them again', async ({ device }) => {
  await device.works('Create', creation('sensor', sleeping));
  await device.works('Start', ['sa{sv}', 'sensor', '0']);
  const before = await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor');
  await device.rig.stop('modules', 'SIGKILL');
  assert.is(
    await device.machine.docker('inspect', '--format', '{{.State.Status}}', 'sensor'),
    'running',
  );
  await device.works('Describe', describe);
  await device.untilState('sensor', 'running');
  assert.is(await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor'), before);
  await device.works('Delete', ['sa{sv}', 'sensor', '0']);
});

test('finishes a creation in which it was killed, whenever that was, with one container', async ({
  device,
}) => {
  for (const delayMs of [0, 60, 120, 200, 400]) {
    await agentRuns(device);
    const making = device.call('Create', creation('sensor', sleeping), 'operator');
    await device.untilModule('sensor', ({ State }) => State !== undefined);
    await sleep(delayMs);
    await device.rig.stop('modules', 'SIGKILL');
    const { code, stderr } = await making;
    if (code !== 0) assert.match(stderr, /disconnected|no reply|NoReply/i);
    // Killed before it was accepted, nothing is there yet; otherwise it goes on by itself.
    const again = await device.call('Create', creation('sensor', sleeping), 'operator');
    if (again.code !== 0) assert.match(again.stderr, /exists/);
    await device.untilState('sensor', 'created');
    assert.equal(await containers(device), ['edgeAgent running', 'sensor created']);
    await device.works('Delete', ['sa{sv}', 'sensor', '0']);
    await device.untilModule('sensor', ({ error }) => String(error).includes('no object'));
    assert.equal(await containers(device), ['edgeAgent running']);
  }
});

test('finishes a deletion in which it was killed, and leaves nothing', async ({ device }) => {
  for (const delayMs of [0, 50, 100, 200]) {
    await device.works('Create', creation('sensor', sleeping));
    await device.works('Start', ['sa{sv}', 'sensor', '0']);
    const deleting = device.call('Delete', ['sa{sv}', 'sensor', '0'], 'operator');
    await sleep(delayMs);
    await device.rig.stop('modules', 'SIGKILL');
    const { code } = await deleting;
    await device.works('Describe', describe);
    // Killed before the call was accepted, nothing may have been deleted yet.
    if (code !== 0) await device.call('Delete', ['sa{sv}', 'sensor', '0'], 'operator');
    await device.untilModule('sensor', ({ error }) => String(error).includes('no object'));
    assert.equal(await containers(device), ['edgeAgent running']);
    const state = device.rig.stateDirectory('modules');
    assert.equal(await readdir(join(state, 'mnt')), ['edgeAgent']);
    const records = await readdir(join(state, 'modules'));
    assert.ok(!records.includes('sensor.json'), String(records));
  }
});

test('makes a module again as soon as the last one of its name is deleted', async ({ device }) => {
  await agentRuns(device);
  for (let left = 5; left > 0; left--) {
    await device.works('Create', creation('sensor', sleeping));
    await device.works('Delete', ['sa{sv}', 'sensor', '0']);
  }
  await device.works('Create', creation('sensor', sleeping));
  assert.equal(await containers(device), ['edgeAgent running', 'sensor created']);
  await device.works('Delete', ['sa{sv}', 'sensor', '0']);
});

test('answers an error to a call in which it is killed, and takes the module up again', async ({
  device,
}) => {
  const swallow = ['sh', '-c', 'cat >/dev/null'];
  const silent = device.machine.spawnInNetwork(
    'busybox',
    'nc',
    '-ll',
    '-p',
    '5003',
    '-e',
    ...swallow,
  );
  try {
    await sleep(300);
    const making = device.call(
      'Create',
      creation('slow', { image: '127.0.0.1:5003/slow:1' }),
      'operator',
    );
    await device.untilState('slow', 'pulling');
    await device.rig.stop('modules', 'SIGKILL');
    assert.is.not((await making).code, 0);
    await device.works('Describe', describe);
    await device.untilState('slow', 'pulling');
    await device.works('Delete', ['sa{sv}', 'slow', '0']);
  } finally {
    silent.kill('SIGKILL');
  }
});

test('says which image is missing, and tries again later', async ({ device }) => {
  const absent = creation('imageless', { image: '127.0.0.1:9/absent:1' }, 'wait', 'b', 'false');
  await device.works('Create', absent);
  const waiting = await device.untilState('imageless', 'backoff');
  assert.match(String(waiting['LastError']), '127.0.0.1:9/absent:1');
  await device.works('Delete', ['sa{sv}', 'imageless', '0']);
});

test('starts an agent that ends at once later and later, and says why', async ({ device }) => {
  for (const [exitCode, script] of [
    [3, 'exit 3'],
    [0, 'true'],
  ] as const) {
    const createOptions = { Cmd: ['sh', '-c', script] };
    await device.rig.configure('modules', { agent: { config: { image, createOptions } } });
    await device.rig.stop('modules');
    await device.works('Describe', describe);
    const first = await device.untilState('edgeAgent', 'backoff');
    assert.is(first['ExitCode'], exitCode);
    assert.is(first['LastError'], `ended with exit code ${exitCode}`);
    const { LastError } = await device.untilManager(({ Health }) => Health === 'degraded');
    assert.is(LastError, `module "edgeAgent": ended with exit code ${exitCode}`);
    if (exitCode === 0) continue;
    const again = await device.untilModule(
      'edgeAgent',
      ({ RestartCount, State }) => RestartCount === 2 && State === 'backoff',
    );
    const ended = (module: Readonly<Record<string, unknown>>) => Number(module['FinishedAt']) / 1e6;
    // 10 s after the first end and 20 s after the second; how long the rest takes is open.
    assert.ok(ended(again) - ended(first) > 29, `${ended(again) - ended(first)} s`);
  }
});

test.run();
