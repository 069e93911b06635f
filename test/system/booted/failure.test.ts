import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { failedCalls } from '../../support/boot/load.ts';
import { until } from '../../support/deadline.ts';

const test = bootedSuite('failure of an installed service');
const unit = 'iotedge-keys.service';
const once = { count: 1, pauses: [0] };

async function pidOf(system: BootedSystem): Promise<string | undefined> {
  return (await system.unit(unit))['MainPID'];
}

/** Waits until the service runs in another process than that of `pid`, without a call. */
async function untilRestarted(system: BootedSystem, pid: string | undefined): Promise<void> {
  await until(30_000, 'the service to run again', async () => {
    const { ActiveState, MainPID } = await system.unit(unit);
    return ActiveState === 'active' && MainPID !== pid;
  });
}

test('fails once with 78 for a wrong configuration, and starts when it is mended', async (system) => {
  await system.write('/etc/iotedge/keys.yaml', 'no_such_setting: 1\n');
  assert.is((await system.run(['systemctl', 'start', unit])).code, 1);
  await sleep(3000); // longer than RestartSec
  const { ActiveState, ExecMainStatus, NRestarts } = await system.unit(unit);
  assert.equal([ActiveState, ExecMainStatus, NRestarts], ['failed', '78', '0']);
  const errors = await system.journal('SYSLOG_IDENTIFIER=iotedge-keys', 'PRIORITY=3');
  assert.is(errors.length, 1);
  assert.match(String(errors[0]?.['MESSAGE']), /no_such_setting/);
  await system.write('/etc/iotedge/keys.yaml', 'log_level: info\n');
  assert.equal(await failedCalls(system, once), []);
});

test('starts again after it crashed', async (system) => {
  assert.equal(await failedCalls(system, once), []);
  const before = await pidOf(system);
  await system.output(['systemctl', 'kill', '--signal=SEGV', unit]);
  await untilRestarted(system, before);
  assert.equal(await failedCalls(system, once), []);
});

test('starts again when the bus was lost', async (system) => {
  assert.equal(await failedCalls(system, once), []);
  const before = await pidOf(system);
  await system.output(['systemctl', 'kill', '--signal=KILL', 'dbus.service']);
  await untilRestarted(system, before);
  assert.equal(await failedCalls(system, once), []);
});

test('is ended and started again by the watchdog when it hangs, and not before', async (system) => {
  await system.write(`/etc/systemd/system/${unit}.d/test.conf`, '[Service]\nWatchdogSec=2s\n');
  await system.output(['systemctl', 'daemon-reload']);
  await system.output(['systemctl', 'restart', unit]);
  const pid = await pidOf(system);
  await sleep(5000); // longer than WatchdogSec
  assert.is(await pidOf(system), pid);
  await system.output(['kill', '-STOP', String(pid)]);
  await untilRestarted(system, pid);
  const said = await system.journal('_PID=1', `UNIT=${unit}`, 'UNIT_RESULT=watchdog');
  assert.is(said.length, 1);
  assert.equal(await failedCalls(system, once), []);
});

test('is reported by iotedgectl at once, with the reason', async (system) => {
  await system.output(['systemctl', 'stop', unit]);
  await system.write('/etc/iotedge/keys.yaml', 'no_such_setting: 1\n');
  // dbus-daemon alone would report it after 25 s, and neither bus with the reason
  const listed = await system.run(['iotedgectl', 'keys', 'list'], { timeoutMs: 15_000 });
  assert.is(listed.code, 4);
  assert.match(listed.stderr, /has failed \(exit-code, status 78\), its configuration is wrong/);
  assert.match(listed.stderr, /no_such_setting.*'iotedgectl system restart keys'/);
  await system.write('/etc/iotedge/keys.yaml', 'log_level: info\n');
  await system.output(['iotedgectl', 'system', 'restart', 'keys']);
  assert.equal(await failedCalls(system, once), []);
});

test.run();
