import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { failedCalls } from '../../support/boot/load.ts';
import { until } from '../../support/deadline.ts';

const test = bootedSuite('failure of an installed service');
const unit = 'iotedge-keys.service';
const once = { count: 1, pauses: [0] };

async function property(system: BootedSystem, name: string): Promise<string | undefined> {
  return (await system.unit(unit))[name];
}

test('fails once with 78 for a wrong configuration, and starts when it is mended', async (system) => {
  await system.write('/etc/iotedge/keys.yaml', 'no_such_setting: 1\n');
  assert.is((await system.run(['systemctl', 'start', unit])).code, 1);
  await sleep(3000); // longer than RestartSec
  const { ActiveState, ExecMainStatus, NRestarts } = await system.unit(unit);
  assert.equal([ActiveState, ExecMainStatus, NRestarts], ['failed', '78', '0']);
  const records = await system.journal(`_SYSTEMD_UNIT=${unit}`);
  assert.equal(
    records.filter(({ MESSAGE }) => String(MESSAGE).includes('no_such_setting')).length,
    1,
  );
  await system.write('/etc/iotedge/keys.yaml', 'log_level: info\n');
  assert.equal(await failedCalls(system, once), []);
});

test('starts again after it crashed', async (system) => {
  assert.equal(await failedCalls(system, once), []);
  const before = await property(system, 'MainPID');
  await system.output(['systemctl', 'kill', '--signal=SEGV', unit]);
  await until(20_000, 'the restart', async () => (await property(system, 'NRestarts')) === '1');
  assert.is.not(await property(system, 'MainPID'), before);
  assert.equal(await failedCalls(system, once), []);
});

test('starts again when the bus was lost', async (system) => {
  assert.equal(await failedCalls(system, once), []);
  const before = await property(system, 'MainPID');
  await system.output(['systemctl', 'kill', '--signal=KILL', 'dbus.service']);
  await until(30_000, 'the service to run again', async () => {
    const { ActiveState, MainPID } = await system.unit(unit);
    return ActiveState === 'active' && MainPID !== before;
  });
  assert.equal(await failedCalls(system, once), []);
});

test.run();
