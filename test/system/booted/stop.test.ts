import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { failedCalls } from '../../support/boot/load.ts';
import { until } from '../../support/deadline.ts';

const test = bootedSuite('reload and stop of an installed service');
const unit = 'iotedge-keys.service';
const load = { count: 80, pauses: [0.04] };

/**
 * Runs commands beside calls of which none may fail. Each waits until the service has started: a stop that meets a start
 * cancels it, and its callers wait for nothing.
 */
async function besideCalls(system: BootedSystem, commands: readonly (() => Promise<unknown>)[]) {
  const failed = failedCalls(system, load);
  for (const command of commands) {
    await until(10_000, 'a start', async () => (await system.unit(unit))['SubState'] === 'running');
    await command();
    await sleep(200);
  }
  assert.equal(await failed, []);
}

async function mainPid(system: BootedSystem): Promise<string | undefined> {
  return (await system.unit(unit))['MainPID'];
}

test('reloads its configuration beside calls, without a new process', async (system) => {
  await system.output(['systemctl', 'start', unit]);
  const pid = await mainPid(system);
  const reloads = ['debug', 'info', 'debug', 'info', 'debug'].map((level) => async () => {
    await system.write('/etc/iotedge/keys.yaml', `log_level: ${level}\n`);
    await system.output(['systemctl', 'reload', unit]);
  });
  await besideCalls(system, reloads);
  assert.is(await mainPid(system), pid);
  const level = [
    'org.iotedge.Keys1',
    '/org/freedesktop/LogControl1',
    'org.freedesktop.LogControl1',
  ];
  assert.is(await system.output(['busctl', 'get-property', ...level, 'LogLevel']), 's "debug"');
});

test('loses no call at a restart, nor at a stop that a call meets', async (system) => {
  const pid = await mainPid(system);
  const restart = () => system.output(['systemctl', 'restart', unit]);
  const stop = () => system.run(['systemctl', 'stop', unit]); // a call cancels it
  await besideCalls(system, [restart, stop, restart, stop, stop]);
  assert.is.not(await mainPid(system), pid);
});

test('answers calls whose start a restart meets', async (system) => {
  const activating = async () => (await system.unit(unit))['ActiveState'] === 'activating';
  for (let tries = 0; tries < 3; tries++) {
    await system.output(['systemctl', 'stop', unit]);
    const calling = failedCalls(system, { count: 3, pauses: [0.04] });
    await until(10_000, 'a start', activating);
    await system.output(['iotedgectl', 'system', 'restart', 'keys']);
    assert.equal(await calling, []);
  }
});

test.run();
