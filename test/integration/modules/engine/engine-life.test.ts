/** The Module Runtime as a process beside an engine as a process: the engine may end at any time. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../../src/dbus/wire/variant.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('modules and the life of the engine');
const sleeping = {
  image: ModulesRig.image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
};

function isReachable({ Engine }: Readonly<Record<string, unknown>>): unknown {
  const found = new Map<string, unknown>(Object.entries(Engine ?? {})).get('reachable');
  return found instanceof Variant ? found.value : found;
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: { config: sleeping } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('reports that the engine is unavailable, and starts the agent once it is available', async ({
  device,
}) => {
  await device.machine.stopDaemon();
  assert.is((await device.call('GetSystemInfo', ['a{sv}', '0'], 'alice')).code, 0);
  const absent = await device.untilManager(({ Health }) => Health === 'degraded');
  const what = `the container engine at ${device.rig.directory}/engine/docker.sock cannot be reached`;
  const isOnly = (text: unknown): boolean =>
    String(text).replace(/\(E[A-Z]+\)$/, '(CODE)') ===
    `${what}: is it installed and running? (CODE)`;
  assert.ok(isOnly(absent['LastError']), String(absent['LastError']));
  await device.untilModule(
    'edgeAgent',
    ({ State, LastError }) => State === 'unknown' && isOnly(LastError),
  );
  await device.machine.startDaemon();
  await device.untilState('edgeAgent', 'running');
  const there = await device.untilManager(({ Health }) => Health === 'ok');
  assert.is(there['LastError'], '');
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`continues with the same modules when the engine ended by ${signal} and is back`, async ({
    device,
  }) => {
    await device.agentRuns();
    await device.machine.stopDaemon(signal);
    await device.untilModule(
      'edgeAgent',
      ({ State, LastError }) => State === 'unknown' && String(LastError).includes('engine'),
    );
    const gone = await device.untilManager(({ Health }) => Health === 'degraded');
    assert.is.not(gone['LastError'], '');
    assert.is(isReachable(gone), false);
    const body = ['sensor', 'docker', JSON.stringify(sleeping), {}, {}];
    const call = { signature: 'sssa{ss}a{sv}', body };
    assert.is(await device.errorOf('CreateModule', call), 'Unavailable');
    await device.machine.startDaemon();
    await device.untilState('edgeAgent', 'running');
    const back = await device.untilManager(({ Health }) => Health === 'ok');
    assert.is(isReachable(back), true);
    assert.equal(await device.containers(), ['edgeAgent running']);
  });
}

test.run();
