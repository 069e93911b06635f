/** The State of a module as clients observe it: one value for each step that really happens, before the reply. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bus } from '../../../src/dbus/bus.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { ModuleWatch } from '../../support/engine/module-watch.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { failureOf } from '../../support/failure.ts';

interface Context {
  device: ModulesRig;
  bus: Bus;
}

const test = suite<Context>('observed state of a module');
const { image } = ModulesRig;

test.before(async (context) => {
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
  context.device = await ModulesRig.start({ agent: { config: { image, createOptions } } });
  await context.device.agentRuns();
  context.bus = await Bus.connect(context.device.rig.address);
});

test.after(async ({ bus, device }) => {
  await bus.close();
  await device[Symbol.asyncDispose]();
});

/** Calls a method over the observing connection: signals sent before the reply are received before it. */
async function call(bus: Bus, member: string, ...args: readonly string[]): Promise<void> {
  const { busName: destination, path, manager } = modulesService;
  const to = { destination, path, interface: manager.name, member };
  if (member !== 'CreateModule') {
    await bus.call({ ...to, signature: 'sa{sv}', body: [...args, {}] });
    return;
  }
  const [name, script = 'sleep 1000', restart = 'always'] = args;
  const createOptions = {
    Cmd: ['sh', '-c', script],
    StopSignal: 'SIGKILL',
    HostConfig: { RestartPolicy: { Name: restart } },
  };
  const config = JSON.stringify({ image: `${image}`, createOptions });
  await bus.call({ ...to, signature: 'sssa{ss}a{sv}', body: [name, 'docker', config, {}, {}] });
}

test('goes once through each state in the life of a module', async ({ bus }) => {
  await using watch = await ModuleWatch.start(bus, 'life');
  await using verbs = await ModuleWatch.start(bus, 'life', 'Operation');
  for (const [member, states] of [
    ['CreateModule', ['unknown', 'pulling', 'created']],
    ['Start', ['starting', 'running']],
    ['Restart', ['stopping', 'starting', 'running']],
    ['Stop', ['stopping', 'stopped']],
    ['Start', ['starting', 'running']],
    ['DeleteModule', ['stopping', 'gone']],
  ] as const) {
    await call(bus, member, 'life');
    assert.equal(watch.take(), states, member);
    const ended = member === 'DeleteModule' ? 'gone' : '';
    assert.equal(verbs.take(), [member, ended], member);
  }
});

test('goes from running to backoff when a module crashes, and through starting when it is restarted', async ({
  bus,
  device,
}) => {
  await using watch = await ModuleWatch.start(bus, 'crashing');
  await call(bus, 'CreateModule', 'crashing', 'sleep 1000');
  await call(bus, 'Start', 'crashing');
  watch.take();
  await device.machine.docker('kill', 'crashing');
  assert.equal(await watch.until('running'), ['backoff', 'starting', 'running']);
  await call(bus, 'DeleteModule', 'crashing');
  assert.equal(watch.take(), ['stopping', 'gone']);
});

for (const [how, code, last] of [
  ['well', 0, 'stopped'],
  ['badly', 3, 'failed'],
] as const) {
  test(`goes from running to ${last} when a module that is not restarted ends ${how}`, async ({
    bus,
    device,
  }) => {
    await using watch = await ModuleWatch.start(bus, 'once');
    await call(
      bus,
      'CreateModule',
      'once',
      `trap "exit ${code}" USR1; while :; do sleep 0.1; done`,
      'no',
    );
    await call(bus, 'Start', 'once');
    watch.take();
    await device.machine.docker('kill', '--signal', 'USR1', 'once');
    assert.equal(await watch.until(last), [last]);
    await call(bus, 'Start', 'once');
    assert.equal(watch.take(), ['starting', 'running']);
    await call(bus, 'DeleteModule', 'once');
  });
}

test('goes back to failed, not through it, when a module cannot be started', async ({ bus }) => {
  await using watch = await ModuleWatch.start(bus, 'absent');
  const { busName: destination, path, manager } = modulesService;
  const config = JSON.stringify({ image, createOptions: { Cmd: ['/absent'] } });
  const member = 'CreateModule';
  const to = { destination, path, interface: manager.name, member };
  await bus.call({ ...to, signature: 'sssa{ss}a{sv}', body: ['absent', 'docker', config, {}, {}] });
  watch.take();
  for (let left = 2; left > 0; left--) {
    assert.is(await failureOf(call(bus, 'Start', 'absent')), 'InvalidArgs');
    assert.equal(watch.take(), ['starting', 'failed']);
  }
  await call(bus, 'Stop', 'absent');
  assert.equal(watch.take(), ['created']);
  await call(bus, 'DeleteModule', 'absent');
});

test('is unknown while there is no engine, and observed again when the engine is back', async ({
  bus,
  device,
}) => {
  await call(bus, 'CreateModule', 'engineless');
  await call(bus, 'Start', 'engineless');
  await using watch = await ModuleWatch.start(bus, 'engineless');
  await device.machine.stopDaemon('SIGKILL');
  assert.equal(await watch.until('unknown'), ['unknown']);
  await device.machine.startDaemon();
  assert.equal(await watch.until('running'), ['starting', 'running']);
  await call(bus, 'DeleteModule', 'engineless');
});

test.run();
