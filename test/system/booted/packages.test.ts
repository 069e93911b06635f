import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import { BootedSystem } from '../../support/boot/booted-system.ts';
import { failedCalls, openCall } from '../../support/boot/load.ts';
import { makeVersions } from '../../support/packages/versions.ts';

const services = ['Keys', 'Certificates', 'Identity', 'Modules'];
const units = services.map((name) => `iotedge-${name.toLowerCase()}.service`);
const timers = ['iotedge-certificates.timer', 'iotedge-identity.timer'];
const keysUnit = 'iotedge-keys.service';

/** A booted system with packages in /packages, none of which is installed. */
async function booted(): Promise<BootedSystem> {
  const system = await BootedSystem.boot(false);
  try {
    await using versions = await makeVersions();
    await system.output('mkdir /packages');
    const { directory, node, previous, current } = versions;
    const inside = join('/proc', String(system.pid), 'root/packages');
    for (const [name, file] of Object.entries({ node, previous, current }))
      await copyFile(join(directory, file), join(inside, `${name}.deb`));
    return system;
  } catch (error) {
    await system[Symbol.asyncDispose]();
    throw error;
  }
}

let system: BootedSystem;
const test = bootedSuite('packages in a booted system', async () => {
  system = await booted();
  return system;
});

const dpkg = (words: string) =>
  system.output(`DEBIAN_FRONTEND=noninteractive dpkg ${words}`, { timeoutMs: 120_000 });
const stateOf = async (unit: string) => (await system.unit(unit))['ActiveState'];
const pidOf = async (unit: string) => (await system.unit(unit))['MainPID'];

async function describe(service: string): Promise<string> {
  const name = `org.iotedge.${service}1`;
  const call = ['call', name, `/org/iotedge/${service}1`, name, 'Describe', 'a{sv}', '0'];
  return system.output(['busctl', '--timeout=20', ...call]);
}

async function works(): Promise<void> {
  for (const service of services) assert.match(await describe(service), /version/);
  for (const unit of [...timers, 'iotedge-modules.service'])
    assert.is(await stateOf(unit), 'active', unit);
}

test('installs four services that a running bus starts, without a reboot', async () => {
  await dpkg('-i /packages/previous.deb /packages/node.deb');
  // or the bus refused the name of a user that it did not know
  const { NRestarts, Result } = await system.unit('iotedge-modules.service');
  assert.equal({ NRestarts, Result }, { NRestarts: '0', Result: 'success' });
  await works();
  assert.is(await system.output('systemctl --failed --no-legend'), '');
  assert.is(await system.output(['systemctl', 'is-enabled', 'iotedge-modules.service']), 'enabled');
});

test('restarts what runs at an upgrade, and loses no call', async () => {
  const before = await Promise.all(units.map(pidOf));
  const load = failedCalls(system, { count: 200, pauses: [0.05] });
  await dpkg('-i /packages/current.deb');
  assert.equal(await load, []);
  await works();
  const after = await Promise.all(units.map(pidOf));
  assert.equal(
    units.filter((_, index) => before[index] === after[index]),
    [],
  );
});

test('leaves masked what an administrator masked', async () => {
  await system.output(['systemctl', 'mask', '--runtime', keysUnit]);
  await system.output('DEBIAN_FRONTEND=noninteractive dpkg-reconfigure iotedge-dbus');
  const { stdout } = await system.run(['systemctl', 'is-enabled', keysUnit]);
  await system.output(['systemctl', 'unmask', '--runtime', keysUnit]);
  assert.is(stdout.trim(), 'masked-runtime');
});

test('restarts what runs when another Node is installed', async () => {
  const before = await pidOf('iotedge-modules.service');
  await dpkg('-i /packages/node.deb');
  await works();
  assert.is.not(await pidOf('iotedge-modules.service'), before);
});

/** Calls the Keys service until dpkg has ended. */
const removeDuringCalls = `
{ while ! test -e /run/removed; do "$@" >/dev/null 2>&1 & sleep 0.02; done; wait; } &
dpkg -r iotedge-dbus
status=$?
touch /run/removed
wait
exit $status`;

/** The stop goes on after the service has released its name: a call that starts it again would cancel the stop. */
const slowStop = '[Service]\nExecStopPost=/bin/sleep 2\n';

test('stops everything at a removal, with calls until its end', async () => {
  await system.write(`/etc/systemd/system/${keysUnit}.d/slow-stop.conf`, slowStop);
  await system.output(['systemctl', 'daemon-reload']);
  await describe('Keys');
  const command = ['sh', '-c', removeDuringCalls, 'remove', ...openCall];
  await system.output(command, { timeoutMs: 120_000 });
  await system.output(['rm', '-r', `/etc/systemd/system/${keysUnit}.d`]);
  for (const unit of [...units, ...timers]) assert.is(await stateOf(unit), 'inactive', unit);
  assert.is(await system.output('ls /run/systemd/system | grep iotedge || true'), '');
  const processes = 'ps -eo user:32,args | grep "^iotedge" || true';
  assert.is(await system.output(processes), '');
  const names = await system.output(['busctl', 'list', '--activatable', '--no-legend']);
  assert.not.match(names, 'iotedge');
});

test('works again when it is installed again, and after a purge', async () => {
  await dpkg('-i /packages/current.deb');
  await works();
  await dpkg('--purge iotedge-dbus');
  assert.is(await system.output('systemctl --failed --no-legend'), '');
  await dpkg('-i /packages/current.deb');
  await works();
  assert.is(await stateOf(keysUnit), 'active');
});

test.run();
