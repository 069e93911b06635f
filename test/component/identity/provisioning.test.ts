/** The saved device: unusable files, and the resources of completed attempts. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { failureOf, messageOf } from '../../support/failure.ts';
import { IdentityInProcess, registrationId } from '../../support/identity/identity-in-process.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('saved device');

const fileOf = ({ stateDir }: IdentityInProcess): string => join(stateDir, 'device.json');

async function provisioned(): Promise<IdentityInProcess> {
  const device = await IdentityInProcess.create();
  await device.start({ live: false });
  await device.call('Provision');
  return device;
}

/** The number of timers of this process. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

test('contains the identity, its time, and the settings of its provisioning', async () => {
  await using device = await IdentityInProcess.create();
  const at = Date.now();
  device.clock = () => at;
  await device.start({ live: false });
  await device.call('Provision');
  assert.equal(JSON.parse(await readFile(fileOf(device), 'utf8')), {
    version: 1,
    hubHostname: 'hub.example:8883',
    deviceId: registrationId,
    registrationId,
    source: 'dps',
    answerTo: JSON.stringify([
      'https://global.azure-devices-provisioning.net',
      '0ne1',
      `file://${device.certificateFile}`,
    ]),
    provisionedAt: new Date(at).toISOString(),
  });
});

for (const [what, damage] of [
  ['is empty', () => ''],
  ['is truncated', (text: string) => text.slice(0, 40)],
  ['is a list', () => '[]'],
  ['has no hub', (text: string) => text.replace('"hubHostname"', '"hub"')],
  ['has an invalid hub name', (text: string) => text.replace('hub.example', 'hub example')],
  [
    'has an invalid device name',
    (text: string) => text.replace('"deviceId":"p', '"deviceId":"\\n'),
  ],
  [
    'has no time',
    (text: string) => text.replace(/"provisionedAt":"[^"]+"/, '"provisionedAt":"then"'),
  ],
] as const) {
  test(`is replaced only by Reprovision when its file ${what}`, async () => {
    await using device = await provisioned();
    await device.stop();
    const damaged = damage(await readFile(fileOf(device), 'utf8'));
    await writeFile(fileOf(device), damaged);
    device.cloud.requests.length = 0;
    await device.start();
    const { State, Health, LastError, DeviceId } = device.shown.properties;
    assert.equal([State, Health, DeviceId], ['failed', 'degraded', '']);
    assert.match(String(LastError), `${fileOf(device)} is damaged`);
    assert.match(
      await messageOf(device.call('Provision')),
      new RegExp(`^Unavailable: .*device.json is damaged: .*; Reprovision replaces it$`),
    );
    assert.is(await failureOf(device.call('GetDeviceIdentity')), 'Unavailable');
    await device.reload({});
    assert.equal([device.running.isBusy?.(), device.cloud.requests.length], [false, 0]);
    // one that fails reports both
    device.cloud.interfere = () => ({ status: 500 });
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    assert.match(
      String(device.shown.properties['LastError']),
      /HTTP 500.*; .*device\.json is damaged/,
    );
    assert.is(await readFile(fileOf(device), 'utf8'), damaged);
    device.cloud.interfere = undefined;
    await device.call('Reprovision');
    assert.equal(
      [device.shown.properties['State'], device.shown.properties['LastError']],
      ['provisioned', ''],
    );
    assert.is((await device.call('Provision')).device.device_id, registrationId);
    // and the file does not affect a later failure
    device.cloud.interfere = () => ({ status: 500 });
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    assert.not.match(String(device.shown.properties['LastError']), 'device.json');
  });
}

test('is not even replaced by Reprovision when a newer version wrote it', async () => {
  await using device = await provisioned();
  await device.stop();
  const newer = (await readFile(fileOf(device), 'utf8')).replace('"version":1', '"version":2');
  await writeFile(fileOf(device), newer);
  device.cloud.requests.length = 0;
  await device.start();
  for (const call of ['Provision', 'Reprovision', 'GetDeviceIdentity'] as const) {
    const message = await messageOf(device.call(call));
    assert.match(message, /^Unavailable: .*device\.json was written by a newer version/, call);
    assert.not.match(message, 'replaces');
  }
  assert.equal([await readFile(fileOf(device), 'utf8'), device.cloud.requests.length], [newer, 0]);
});

for (const content of [
  '',
  '{"version":9}',
  '{"version":1,"reason":"x","answerTo":"y","notBefore":"z"}',
]) {
  test(`is provisioned whatever the file of a refusal contains: ${content || 'nothing'}`, async () => {
    await using device = await IdentityInProcess.create();
    await device.start({ live: false });
    await writeFile(join(device.stateDir, 'refusal.json'), content, { mode: 0o600 });
    await device.stop();
    await device.start();
    const isThere = () => device.shown.properties['State'] === 'provisioned';
    await until(10_000, 'an identity', isThere);
    const unreadable = device.log.filter(
      ({ message }) => message === 'provisioning refusal unreadable',
    );
    assert.equal(
      unreadable.map(({ level }) => level),
      ['warn'],
    );
  });
}

test('is reported as the reason for a missing identity', async () => {
  await using device = await IdentityInProcess.create();
  await device.start({ live: false });
  const none = 'NotProvisioned: the device is not provisioned';
  assert.is(await messageOf(device.call('GetDeviceIdentity')), none);
  device.cloud.interfere = () => ({ status: 500 });
  const attempt = device.call('Provision').catch(() => undefined);
  assert.is(device.shown.properties['State'], 'unprovisioned');
  await attempt;
  assert.ok(device.shown.history.some(({ State }) => State === 'provisioning'));
  assert.is(device.shown.properties['State'], 'failed');
  assert.match(await messageOf(device.call('GetDeviceIdentity')), `${none}: registering pump-1`);
});

test('leaves no timer when an attempt begins, when the service stops, and when it is replaced', async () => {
  await using device = await IdentityInProcess.create();
  await device.start({ live: false });
  const before = timers();
  const fail = async () => {
    device.cloud.interfere = () => ({ status: 500 });
    assert.is(await failureOf(device.call('Reprovision')), 'Unavailable');
    device.cloud.interfere = undefined;
    assert.is(timers(), before + 1);
  };
  await fail();
  await device.call('Reprovision');
  assert.is(timers(), before);
  await fail();
  await device.reload({ provisioning: '  registration_id: pump-2' });
  await until(10_000, 'the other one', () => device.shown.properties['DeviceId'] === 'pump-2');
  assert.is(timers(), before);
  await fail();
  await device.stop();
  assert.is(timers(), before);
});

test.run();
