/** The order in which modules start, at a boot and after a restart of the engine too, and in which they stop. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('order of modules');
const { image } = ModulesRig;
const names = ['first', 'middle', 'last'] as const;

/** Its own end takes half a second, so that two that end together are told from two in a row. */
const script = 'trap "sleep 0.5; exit 0" TERM; while :; do sleep 0.1; done';

async function create({ succeedWith }: { succeedWith: Creation }): Promise<void> {
  const settings = {
    image,
    imagePullPolicy: 'never',
    createOptions: { Cmd: ['sh', '-c', script] },
    restart_policy: 'never',
  };
  // what starts last exists first
  await succeedWith('last', { ...settings, start_after: ['middle'], aliases: ['end'] });
  await succeedWith('middle', { ...settings, start_after: ['first'] });
  await succeedWith('first', settings);
}

type Creation = (name: string, settings: object) => Promise<void>;

async function times({ machine }: ModulesRig, which: string): Promise<readonly number[]> {
  const format = `{{.State.${which}}}`;
  const lines = await machine.docker('inspect', '--format', format, ...names);
  return lines.split('\n').map((line) => Date.parse(line));
}

function assertAscending(found: readonly number[]): void {
  assert.equal(
    found,
    found.toSorted((one, other) => one - other),
  );
}

async function allRun(device: ModulesRig, reason: string): Promise<void> {
  for (const name of names) {
    const { RestartReason } = await device.untilState(name, 'running');
    assert.is(RestartReason, reason);
  }
  assertAscending(await times(device, 'StartedAt'));
}

test.before(async (context) => {
  context.device = await ModulesRig.start({});
  const { device } = context;
  await create({
    async succeedWith(name, settings) {
      const config = JSON.stringify(settings);
      await device.succeed('CreateModule', ['sssa{ss}a{sv}', name, 'docker', config, '0', '0']);
    },
  });
  for (const name of names) await device.succeed('Start', ['sa{sv}', name, '0']);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('holds when the modules start after a boot, whatever their restart policy', async ({
  device,
}) => {
  await device.rig.stop('modules');
  await device.machine.docker('kill', ...names);
  await device.succeed('Describe', ['a{sv}', '0']);
  await allRun(device, 'was not running when the service started');
});

test('holds when the engine crashed and is back, whatever their restart policy', async ({
  device,
}) => {
  await device.machine.stopDaemon('SIGKILL');
  await device.untilState('first', 'unknown');
  await device.machine.startDaemon();
  await allRun(device, 'the container engine was restarted');
});

test('is that of creation and configuration: GetConfig shows it, the network the aliases', async ({
  device,
}) => {
  const [shown] = await device.invoke('GetConfig', { signature: 'sa{sv}', body: ['last', {}] });
  const common = '"restart_policy":"never","start_after":["middle"],"aliases":["end"]';
  assert.ok(String(shown).includes(common), String(shown));
  const format = '{{json .NetworkSettings.Networks}}';
  assert.match(await device.machine.docker('inspect', '-f', format, 'last'), '"end"');
});

test('is reversed when the service stops and the configuration says so', async ({ device }) => {
  const before = await times(device, 'StartedAt');
  await device.restart({ on_stop: 'stop' });
  for (const name of names) await device.untilState(name, 'running');
  assert.equal(await times(device, 'StartedAt'), before, 'a stop left them running until now');
  await device.rig.stop('modules');
  const ended = await times(device, 'FinishedAt');
  assertAscending(ended.toReversed());
  const [first = 0, middle = 0, last = 0] = ended;
  assert.ok(middle - last >= 450 && first - middle >= 450, ended.join(' '));
  await device.restart({ on_stop: 'leave' });
  await allRun(device, 'was not running when the service started');
});

test('is no reason to start a module again that ended by itself while the service was stopped', async ({
  device,
}) => {
  await device.rig.stop('modules');
  await device.machine.docker('kill', 'first');
  await device.succeed('Describe', ['a{sv}', '0']);
  await device.untilState('last', 'running');
  await device.untilState('first', 'failed');
  assert.ok((await device.containers()).includes('first exited'));
});

test('does not keep a module from its start when another one is missing or fails, and says so', async ({
  device,
}) => {
  const settings = { image, createOptions: { Cmd: ['sleep', '100'], StopSignal: 'SIGKILL' } };
  const config = JSON.stringify({
    ...settings,
    imagePullPolicy: 'never',
    start_after: ['absent'],
  });
  await device.succeed('CreateModule', ['sssa{ss}a{sv}', 'alone', 'docker', config, '0', '0']);
  await device.succeed('Start', ['sa{sv}', 'alone', '0']);
  const { LastError, State } = await device.module('alone');
  assert.equal([State, LastError], ['running', 'start_after: no module "absent"']);
});

test.run();
