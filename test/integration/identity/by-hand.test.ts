/** Keys, Certificates and Identity started by hand with the files that users have, on a bus without activation. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { busctlProperty } from '../../support/clients/busctl.ts';
import { untilFound } from '../../support/deadline.ts';
import { failureOf, untilWorks } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { startRigCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { programs, type ServiceName, services } from '../../support/rig/rig-services.ts';

const test = suite('services started by hand');
const order = ['keys', 'certificates', 'identity'] as const;

/** Removes every activatable service from the bus. */
async function forgetActivation(rig: Rig): Promise<void> {
  const folder = join(rig.directory, 'dbus/services');
  for (const name of await readdir(folder)) await rm(join(folder, name));
  await using bus = await rig.connect();
  const driver = 'org.freedesktop.DBus';
  const target = { destination: driver, path: '/org/freedesktop/DBus', interface: driver };
  await bus.call({ ...target, member: 'ReloadConfig' });
  const [names] = await bus.call({ ...target, member: 'ListActivatableNames' });
  assert.equal(names, [driver]);
}

/** Starts a service as its user and waits until it is on the bus; returns its process id. */
async function startByHand(rig: Rig, name: ServiceName, extra: object = {}): Promise<number> {
  const child = rig.spawn(
    join(rig.directory, 'node'),
    [
      join(rig.directory, programs, `iotedge-${name}.cjs`),
      '--config-dir',
      join(rig.directory, 'config'),
    ],
    {
      user: services[name].user,
      environment: { STATE_DIRECTORY: rig.stateDirectory(name), ...extra },
    },
  );
  let journal = '';
  child.stderr?.on('data', (chunk) => (journal += String(chunk)));
  return untilFound(30_000, `${name} on the bus`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${journal}`);
    return rig.processOf(name);
  });
}

test('provision the device, one after the other', async () => {
  await using rig = await Rig.start();
  await using cloud = await startRigCloud(rig);
  await forgetActivation(rig);
  // the four files as they are documented, and two lines for a cloud on this machine
  const file = join(rig.directory, 'config/identity.yaml');
  const text = await readFile(file, 'utf8');
  const endpoint = `  global_endpoint: '${cloud.endpoint}'\n`;
  const trust = `cloud: { trusted_ca: '${rig.directory}/secrets/trusted-ca.cer' }\n`;
  await writeFile(file, `${text}${endpoint}${trust}`);
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  assert.is(await failureOf(identity.GetDeviceIdentity({})), 'Unavailable');
  const softhsm = { SOFTHSM2_CONF: join(rig.directory, 'token/softhsm2.conf') };
  const started: number[] = [];
  for (const name of order)
    started.push(await startByHand(rig, name, name === 'keys' ? softhsm : {}));
  const { device } = await identity.Provision({}, { timeoutMs: 60_000 });
  assert.is(device.device_id, deviceName);
  assert.is(device.hub_hostname, cloud.host);
  assert.is(await busctlProperty(rig, 'identity', 'State'), 'provisioned');
  assert.equal(await Promise.all(order.map((name) => rig.processOf(name))), started);
  const state = join(rig.stateDirectory('identity'), 'device.json');
  assert.match(await readFile(state, 'utf8'), deviceName);
});

test('wait for one another when they start in the wrong order', async () => {
  await using rig = await Rig.start();
  await using cloud = await startRigCloud(rig);
  await forgetActivation(rig);
  await rig.configure('identity', {
    provisioning: { global_endpoint: cloud.endpoint },
    cloud: { trusted_ca: `${rig.directory}/secrets/trusted-ca.cer` },
  });
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  await startByHand(rig, 'identity');
  assert.is(await failureOf(identity.Provision({}, { timeoutMs: 60_000 })), 'Unavailable');
  assert.match(
    String(await busctlProperty(rig, 'identity', 'LastError')),
    'org.iotedge.Certificates1',
  );
  await startByHand(rig, 'certificates');
  await startByHand(rig, 'keys', { SOFTHSM2_CONF: join(rig.directory, 'token/softhsm2.conf') });
  await untilWorks('Provision', () => identity.Provision({}, { timeoutMs: 60_000 }));
  const { identity: device } = await identity.GetDeviceIdentity({});
  assert.is(device.device_id, deviceName);
});

test.run();
