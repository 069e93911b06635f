/** How a reload affects the device: its settings, its pending attempts, and its published properties. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { CloudResponse } from '../../support/cloud/exchange.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { IdentityInProcess, registrationId } from '../../support/identity/identity-in-process.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('reload of identities');
const other = { provisioning: '  registration_id: pump-2' };

async function deviceWith(options?: Parameters<IdentityInProcess['start']>[0]) {
  const device = await IdentityInProcess.create();
  await device.start({ live: false, ...options });
  return device;
}

function untilIdle(device: IdentityInProcess): Promise<void> {
  return until(10_000, 'the end', () => device.running.isBusy?.() === false);
}

/** Holds the attempts at the cloud until they are released. */
function holdCloud(device: IdentityInProcess) {
  let release = (): void => undefined;
  const released = new Promise<undefined>((resolve) => {
    release = () => resolve(undefined);
  });
  device.cloud.interfere = () => released;
  return () => {
    device.cloud.interfere = undefined;
    release();
  };
}

test('retries a failed attempt at once, with the new settings', async () => {
  await using device = await deviceWith();
  device.cloud.interfere = () => ({ status: 500 });
  // after so many failures the next attempt is more than a minute away
  for (let at = 0; at < 5; at++) {
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
  }
  device.cloud.interfere = undefined;
  device.cloud.requests.length = 0;
  await device.reload({ yaml: `cloud: { trusted_ca: '${device.rootFile}', timeout_s: 33 }` });
  await until(10_000, 'it', () => device.shown.properties['State'] === 'provisioned');
  assert.equal(
    device.cloud.requests.map(({ timeoutMs }) => timeoutMs),
    [33_000],
  );
  // and no attempt is due any more
  await untilIdle(device);
  assert.is(device.running.due?.(), undefined);
});

test('does not retry before the Retry-After of the cloud', async () => {
  await using device = await deviceWith();
  device.cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  device.cloud.requests.length = 0;
  await device.reload({});
  assert.equal([device.running.isBusy?.(), device.cloud.requests.length], [false, 0]);
  assert.ok(device.running.due?.());
});

test('sends no request for a device that has its identity', async () => {
  await using device = await deviceWith();
  await device.call('Provision');
  device.cloud.requests.length = 0;
  await device.reload({ yaml: `cloud: { trusted_ca: '${device.rootFile}', timeout_s: 33 }` });
  assert.equal([device.running.isBusy?.(), device.cloud.requests.length], [false, 0]);
});

test('keeps the device until the other one is provisioned, and names both', async () => {
  await using device = await deviceWith();
  await device.call('Provision');
  const release = holdCloud(device);
  await device.reload(other);
  const { DeviceId, Health, LastError } = device.shown.properties;
  assert.equal([DeviceId, Health], [registrationId, 'degraded']);
  assert.match(String(LastError), 'registration id "pump-1", now "pump-2"');
  await until(10_000, 'an attempt', () => device.cloud.requests.length === 2);
  assert.is((await device.call('GetDeviceIdentity')).identity.device_id, registrationId);
  release();
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
  assert.equal(
    [device.shown.properties['Health'], device.shown.properties['LastError']],
    ['ok', ''],
  );
});

test('cancels automatic attempts with the previous settings', async () => {
  await using device = await deviceWith();
  const release = holdCloud(device);
  device.running.onNameAcquired?.();
  await until(10_000, 'an attempt', () => device.cloud.requests.length === 1);
  await device.reload(other);
  await until(10_000, 'another', () => device.cloud.requests.length === 2);
  assert.match(device.cloud.requests[1]?.url ?? '', '/registrations/pump-2/register');
  release();
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
  assert.match(await readFile(join(device.stateDir, 'device.json'), 'utf8'), 'pump-2');
});

test('returns the device of the previous settings to a call under them, and changes nothing', async () => {
  await using device = await deviceWith();
  const release = holdCloud(device);
  const reply = device.call('Reprovision');
  await until(10_000, 'an attempt', () => device.cloud.requests.length === 1);
  await device.reload(other);
  assert.is(device.cloud.requests.length, 1);
  release();
  const releaseOther = holdCloud(device);
  assert.is((await reply).device.device_id, registrationId);
  await until(10_000, 'another attempt', () => device.cloud.requests.length === 2);
  const { DeviceId, State } = device.shown.properties;
  assert.equal([DeviceId, State], ['', 'provisioning']);
  assert.not((await readdir(device.stateDir)).includes('device.json'));
  releaseOther();
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
  assert.not(device.shown.history.some((shown) => shown['DeviceId'] === registrationId));
});

test('ignores the refusal of a call under the previous settings', async () => {
  await using device = await deviceWith();
  let refuse = (): void => undefined;
  const refused = new Promise<CloudResponse>((resolve) => {
    refuse = () => resolve({ status: 429, headers: { 'retry-after': '3000' } });
  });
  device.cloud.interfere = ({ url }) => (url.includes(registrationId) ? refused : undefined);
  const reply = failureOf(device.call('Reprovision'));
  await until(10_000, 'an attempt', () => device.cloud.requests.length === 1);
  await device.reload(other);
  const release = holdCloud(device);
  refuse();
  assert.is(await reply, 'Unavailable');
  await until(10_000, 'another attempt', () => device.cloud.requests.length === 2);
  assert.not((await readdir(device.stateDir)).includes('refusal.json'));
  assert.is(device.shown.properties['State'], 'provisioning');
  release();
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
});

test('publishes the source of the identity, or its absence', async () => {
  await using device = await deviceWith();
  await device.call('Provision');
  assert.equal(
    [device.shown.properties.Source, device.shown.properties.Attestation],
    ['dps', 'x509'],
  );
  await device.reload({ bare: true });
  const { Source, Attestation, State, DeviceId } = device.shown.properties;
  assert.equal([Source, Attestation, State, DeviceId], ['', '', 'unprovisioned', '']);
  for (const call of ['Provision', 'Reprovision', 'GetDeviceIdentity'] as const) {
    assert.is(await failureOf(device.call(call)), 'NotProvisioned', call);
  }
  await device.reload({});
  const after = device.shown.properties;
  assert.equal(
    [after['Source'], after['Attestation'], after['State']],
    ['dps', 'x509', 'provisioned'],
  );
});

test('gives the identities of the new configuration to callers', async () => {
  await using device = await deviceWith({ yaml: 'principals: { a: { uid: 7 } }' });
  await device.call('Provision');
  const own = (uid: number) => failureOf(device.call('GetCallerIdentity', {}, { uid }));
  assert.equal([await own(7), await own(8)], ['no failure', 'NotFound']);
  await device.reload({ yaml: 'principals: { a: { uid: 8 } }' });
  assert.equal([await own(7), await own(8)], ['NotFound', 'no failure']);
});

test('publishes the modules of the current device', async () => {
  await using device = await deviceWith();
  await device.call('Provision');
  await device.call('CreateModuleIdentity', { module_id: 'mine' });
  assert.equal([...device.shown.objects.keys()], ['mine']);
  await device.reload(other);
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
  assert.equal([...device.shown.objects.keys()], []);
  assert.is(await failureOf(device.call('GetModuleIdentity', { module_id: 'mine' })), 'NotFound');
});

test.run();
