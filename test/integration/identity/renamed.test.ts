/** A device whose certificate has another name than at its provisioning. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { failureOf } from '../../support/failure.ts';
import { identityStatus, untilIdentity } from '../../support/identity/identity-status.ts';
import { Rig } from '../../support/rig/rig.ts';
import { cloudSettings, startRigCloud, useCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { certifyDevice } from '../../support/tls/device-certificate.ts';

const test = suite('a device that was renamed');
const newName = 'box-2';
const patient = { timeoutMs: 60_000 };

function validity() {
  const now = Math.floor(Date.now() / 1000) * 1000;
  return { notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) };
}

test('is provisioned again under the new name', async () => {
  await using rig = await Rig.start();
  const names = [deviceName, newName].map((name) => [name, { deviceId: name }] as const);
  await using cloud = await startRigCloud(rig, { enrollments: new Map(names) });
  await useCloud(rig, cloud);
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  assert.is((await identity.Provision({}, patient)).device.device_id, deviceName);
  await certifyDevice(rig, validity(), newName);
  await rig.stop('certificates');
  await rig.stop('identity');
  const now = await untilIdentity(bus, 'the new name', ({ deviceId }) => deviceId === newName);
  assert.equal([now.state, now.health, now.lastError], ['provisioned', 'ok', '']);
  await rig.stop('identity');
  const sentBefore = cloud.requests.length;
  assert.is((await identity.Provision({}, patient)).device.device_id, newName);
  assert.is(cloud.requests.length, sentBefore);
});

test('is provisioned again while the service runs, when a renewed certificate has the new name', async () => {
  await using rig = await Rig.start();
  const names = [deviceName, newName].map((name) => [name, { deviceId: name }] as const);
  await using cloud = await startRigCloud(rig, { enrollments: new Map(names) });
  await rig.configure('identity', { ...cloudSettings(rig, cloud), idle_exit_s: 0 });
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  await identity.Provision({}, patient);
  const before = await rig.processOf('identity');
  await certifyDevice(rig, validity(), newName);
  await rig.stop('certificates');
  // the hub has the device under its old name, and refuses
  await failureOf(identity.ListModuleIdentities({ options: { refresh: true } }));
  await untilIdentity(bus, 'the new name', ({ deviceId }) => deviceId === newName);
  assert.is(await rig.processOf('identity'), before);
});

test('remains the old one, degraded and with both names, until it is provisioned again', async () => {
  await using rig = await Rig.start();
  const enrollments = new Map([[deviceName, { deviceId: deviceName }]]);
  await using cloud = await startRigCloud(rig, { enrollments });
  await useCloud(rig, cloud);
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  await identity.Provision({}, patient);
  await certifyDevice(rig, validity(), newName);
  for (const service of ['certificates', 'identity'] as const) await rig.stop(service);
  const refused = /HTTP 401/;
  const kept = await untilIdentity(bus, 'a refusal', ({ lastError }) => refused.test(lastError));
  assert.equal([kept.state, kept.health, kept.deviceId], ['provisioned', 'degraded', deviceName]);
  assert.match(kept.lastError, `registration id "${deviceName}", now "${newName}"`);
  assert.ok(kept.nextAttempt > 0n);
  assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  await certifyDevice(rig, validity(), deviceName);
  for (const service of ['certificates', 'identity'] as const) await rig.stop(service);
  assert.is((await identity.Provision({}, patient)).device.device_id, deviceName);
  const { health, deviceId, lastError } = await identityStatus(bus);
  assert.equal([health, deviceId, lastError], ['ok', deviceName, '']);
});

test.run();
