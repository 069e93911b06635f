/** Long operations on modules: cancellation, rollback after a failure, and resumption after SIGKILL. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { ModulesRig, type RawCall } from '../../support/engine/modules-rig.ts';
import { silentRegistry } from '../../support/engine/silent-registry.ts';
import { operatorsMayDoEverything } from '../../support/rig/rig-polkit.ts';

const test = suite<{ device: ModulesRig }>('operations on modules');
const { image } = ModulesRig;
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const good = { image, createOptions };
const absent = { image: '127.0.0.1:9/absent:1' };
/** The arguments for a module whose image is at a registry that never responds. */
function slowAt(port: number): readonly string[] {
  const config = JSON.stringify({ image: `127.0.0.1:${port}/slow:1` });
  return ['docker', config, '@a{ss} {}', '@a{sv} {}'];
}

const { busName, path, manager } = modulesService;
const later = { wait: new Variant('b', false) };

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config: good } });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function creation(name: string, config: object, options: object = {}): RawCall {
  return {
    signature: 'sssa{ss}a{sv}',
    body: [name, 'docker', JSON.stringify(config), {}, options],
  };
}

function named(name: string, options: object = {}): RawCall {
  return { signature: 'sa{sv}', body: [name, options] };
}

/** A container that stops only when it is killed. */
const stubborn = { image, createOptions: { Cmd: ['sh', '-c', 'trap "" TERM; sleep 1000'] } };

/** The error code of an operator's call by another process, which does not block this one. */
async function beside(device: ModulesRig, method: string, ...args: readonly string[]) {
  const to = ['--dest', busName, '--object-path', path, '--method', `${manager.name}.${method}`];
  const { stderr } = await device.rig.gdbus(
    ['call', '--timeout', '200', ...to, ...args],
    'operator',
  );
  return /org\.iotedge\.Error\.(\w+)/.exec(stderr)?.[1] ?? stderr;
}

async function isGone(device: ModulesRig, name: string): Promise<void> {
  await device.untilModule(name, ({ error }) => String(error).includes('no object'));
}

test('creates a module at once after its creation failed', async ({ device }) => {
  for (let round = 1; round <= 15; round++) {
    assert.is(await device.errorOf('CreateModule', creation('again', absent)), 'Unavailable');
    assert.is(
      await device.errorOf('CreateModule', creation('again', good)),
      'no failure',
      `${round}`,
    );
    assert.is(await device.errorOf('DeleteModule', named('again')), 'no failure');
  }
});

test('postpones a rollback that needs the engine, and completes it before the next creation', async ({
  device,
}) => {
  using _registry = await silentRegistry(device.machine, 5004);
  const creating = beside(device, 'CreateModule', 'cut', ...slowAt(5004));
  await device.untilState('cut', 'pulling');
  await device.machine.stopDaemon('SIGKILL');
  assert.is(await creating, 'Unavailable');
  assert.is(await device.errorOf('CreateModule', creation('cut', good)), 'Unavailable');
  await device.machine.startDaemon();
  await device.untilState('edgeAgent', 'running');
  assert.is(await device.errorOf('CreateModule', creation('cut', good)), 'no failure');
  await device.invoke('DeleteModule', named('cut'));
});

test('resumes accepted operations after SIGKILL', async ({ device }) => {
  await device.invoke('CreateModule', creation('accepted', stubborn));
  await device.invoke('Start', named('accepted', later));
  await device.rig.stop('modules', 'SIGKILL');
  await device.succeed('Describe', ['a{sv}', '0']);
  const isRunning = (now: Awaited<ReturnType<typeof device.module>>) =>
    now['State'] === 'running' && now['Operation'] === '';
  await device.untilModule('accepted', isRunning);
  const timeout = { timeout_s: new Variant('u', 2) };
  await device.invoke('Stop', named('accepted', { ...later, ...timeout }));
  await device.rig.stop('modules', 'SIGKILL');
  await device.succeed('Describe', ['a{sv}', '0']);
  assert.is((await device.untilState('accepted', 'stopped'))['Operation'], '');
  await device.invoke('Restart', named('accepted', { ...later, ...timeout }));
  await device.rig.stop('modules', 'SIGKILL');
  await device.succeed('Describe', ['a{sv}', '0']);
  await device.untilModule('accepted', isRunning);
  await device.invoke('DeleteModule', named('accepted', later));
  await device.rig.stop('modules', 'SIGKILL');
  await device.succeed('Describe', ['a{sv}', '0']);
  await isGone(device, 'accepted');
  assert.equal(await device.containers(), ['edgeAgent running']);
});

test('deletes an identity at the hub only on request', async ({ device }) => {
  const registered = () =>
    [...device.cloud.registry.modules.values()].flatMap((all) => [...all.keys()]);
  for (const identity of [false, true]) {
    await device.invoke('CreateModule', creation('known', good));
    await device.invoke('Start', named('known'));
    assert.ok(registered().includes('known'));
    await device.invoke('DeleteModule', named('known', { identity: new Variant('b', identity) }));
    assert.is(registered().includes('known'), !identity);
  }
});

test('keeps a module whose identity cannot be deleted', async ({ device }) => {
  await device.invoke('CreateModule', creation('kept', good));
  await device.invoke('Start', named('kept'));
  device.cloud.interfere = ({ path, method }) =>
    method === 'DELETE' && path.includes('kept') ? { status: 503, body: {} } : undefined;
  const deletion = named('kept', { identity: new Variant('b', true) });
  assert.is(await device.errorOf('DeleteModule', deletion), 'Unavailable');
  assert.is((await device.module('kept'))['State'], 'running');
  device.cloud.interfere = undefined;
  await device.invoke('DeleteModule', deletion);
  await isGone(device, 'kept');
});

/** Allows alice one action on modules, and nothing else. */
function aliceMay(action: string): string {
  return `${operatorsMayDoEverything}
  polkit.addRule(function (action, subject) {
    if (subject.user === 'alice' && action.id === 'org.iotedge.modules1.${action}') return polkit.Result.YES;
  });`;
}

for (const [action, other, port] of [
  ['control', 'run', 5005],
  ['run', 'control', 5006],
] as const) {
  test(`are cancelled with the right to ${action} if they need it, not with the right to ${other}`, async ({
    device,
  }) => {
    using _registry = await silentRegistry(device.machine, port);
    await device.rig.setRules(aliceMay(action));
    const cancel = (name: string) => device.errorOf('Cancel', named(name), 'alice');
    const may = (needed: string, code: string) => (needed === action ? code : 'AccessDenied');
    assert.is(await cancel('edgeAgent'), may('control', 'NotFound'));
    assert.is(await cancel('nobody'), may('control', 'NotFound'));
    const creating = beside(device, 'CreateModule', 'slow', ...slowAt(port));
    await device.untilState('slow', 'pulling');
    assert.is(await cancel('slow'), may('run', 'no failure'));
    if (action !== 'run') await device.invoke('Cancel', named('slow'));
    assert.is(await creating, 'Cancelled');
    await isGone(device, 'slow');
    await device.invoke('CreateModule', creation('slow', stubborn));
    await device.invoke('Start', named('slow'));
    for (const verb of ['Stop', 'Restart'] as const) {
      const stopping = beside(device, verb, 'slow', "{'timeout_s': <uint32 300>}");
      await device.untilModule('slow', ({ Operation }) => Operation === verb);
      assert.is(await device.errorOf('Start', named('slow')), 'Unavailable');
      assert.is(await cancel('slow'), may('control', 'no failure'));
      if (action !== 'control') await device.invoke('Cancel', named('slow'));
      assert.is(await stopping, 'Cancelled');
      const { Operation, State } = await device.module('slow');
      assert.equal([Operation, State], ['', 'running']);
    }
    await device.machine.docker('kill', 'slow');
    await device.invoke('DeleteModule', named('slow'));
  });
}

test.run();
