/** An agent that modules.yaml names otherwise, or no longer: two of them do not run. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { messageOf } from '../../../support/failure.ts';

const test = suite<{ device: ModulesRig }>('an agent with another name');
const { image } = ModulesRig;
const asleep = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const stopsSlowly = {
  Cmd: ['sh', '-c', 'trap "sleep 2; exit 0" TERM; while :; do sleep 0.1; done'],
};

function named(name: string, createOptions: object = asleep) {
  return { agent: { name, config: { image, createOptions } } };
}

async function reload({ rig }: ModulesRig, settings: object): Promise<void> {
  await rig.configure('modules', settings);
  assert.is(await rig.reload('modules'), 'reloaded');
}

function inState({ rig }: ModulesRig, path: string): Promise<readonly string[]> {
  return readdir(join(rig.stateDirectory('modules'), path));
}

async function records(device: ModulesRig): Promise<string> {
  return (await inState(device, 'modules')).filter((name) => name.endsWith('.json')).join();
}

/** The starts and removals of two containers, in their order. */
async function history({ machine }: ModulesRig, ...names: readonly string[]) {
  const format = '{{.Actor.Attributes.name}} {{.Action}}';
  const filters = ['start', 'destroy'].flatMap((event) => ['--filter', `event=${event}`]);
  const to = String(Math.ceil(Date.now() / 1000));
  const events = ['events', '--since', '0', '--until', to, ...filters, '--format', format];
  const lines = (await machine.docker(...events)).split('\n');
  return lines.filter((line) => names.some((name) => line.startsWith(`${name} `)));
}

async function untilAlone(device: ModulesRig, name: string): Promise<void> {
  await until(
    60_000,
    `${name} alone`,
    async () => (await device.containers().catch(() => [])).join() === `${name} running`,
  );
  await until(20_000, 'its record alone', async () => (await records(device)) === `${name}.json`);
  assert.equal(await inState(device, 'mnt'), [name]);
}

test.before(async (context) => {
  context.device = await ModulesRig.start(named('edgeAgent', stopsSlowly));
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('starts when the former one is removed, which has no management API any more', async ({
  device,
}) => {
  const { machine } = device;
  machine.signalDaemon('SIGSTOP');
  try {
    await reload(device, named('manager'));
    assert.equal(await inState(device, 'mnt/edgeAgent'), ['workload.sock']);
  } finally {
    machine.signalDaemon('SIGCONT');
  }
  await untilAlone(device, 'manager');
  assert.equal((await history(device, 'edgeAgent', 'manager')).slice(-2), [
    'edgeAgent destroy',
    'manager start',
  ]);
  assert.match(await messageOf(device.module('edgeAgent')), 'no object');
});

test('is the one of before again, although that is being removed', async ({ device }) => {
  const { machine } = device;
  const id = await machine.docker('inspect', '--format', '{{.Id}}', 'manager');
  machine.signalDaemon('SIGSTOP');
  try {
    await reload(device, named('keeper'));
    await reload(device, named('manager'));
  } finally {
    machine.signalDaemon('SIGCONT');
  }
  await device.untilState('manager', 'running');
  await untilAlone(device, 'manager');
  assert.is(await machine.docker('inspect', '--format', '{{.Id}}', 'manager'), id);
});

test('starts when the former one is removed, also where the service did not run meanwhile', async ({
  device,
}) => {
  await device.restart(named('keeper'));
  await untilAlone(device, 'keeper');
  assert.equal((await history(device, 'manager', 'keeper')).slice(-2), [
    'manager destroy',
    'keeper start',
  ]);
});

test('starts when one is removed that an earlier version ran, which recorded none', async ({
  device,
}) => {
  await device.rig.stop('modules');
  await rm(join(device.rig.stateDirectory('modules'), 'modules', 'keeper.json'));
  await device.restart(named('manager'));
  await untilAlone(device, 'manager');
  assert.equal((await history(device, 'keeper', 'manager')).slice(-2), [
    'keeper destroy',
    'manager start',
  ]);
  await device.restart(named('keeper'));
  await untilAlone(device, 'keeper');
});

test('does not end a container of others that has the name of the former one', async ({
  device,
}) => {
  const { machine } = device;
  await device.rig.stop('modules');
  await machine.docker('rm', '-f', 'keeper');
  await machine.docker('run', '-d', '--name', 'keeper', image, 'sleep', '1000');
  await device.restart(named('edgeAgent'));
  await untilAlone(device, 'edgeAgent');
  const format = '{{.State.Running}}';
  assert.is(await machine.docker('inspect', '--format', format, 'keeper'), 'true');
});

test.run();
