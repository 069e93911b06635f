import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Client } from '../../../src/dbus/client/client.ts';
import { type identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { cloudSettings } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('reload of the identity service');

type Identity = Client<typeof identityInterface>;

interface Shown {
  readonly health: string;
  readonly last_error: string;
  readonly properties: Readonly<Record<string, string>>;
}

async function shown(identity: Identity): Promise<Shown> {
  return JSON.parse((await identity.Describe({})).json) as Shown;
}

function untilState(identity: Identity, state: string): Promise<void> {
  const isInState = async () => (await shown(identity)).properties['State'] === state;
  return until(30_000, `the state ${state}`, isInState);
}

const staying = { idle_exit_s: 0 };

/** Settings with which the device reaches a cloud. */
function settingsFor(rig: Rig, cloud: Cloud) {
  return { ...cloudSettings(rig, cloud), ...staying };
}

const polls = (cloud: Cloud): number =>
  cloud.requests.filter(({ url }) => /operations/.test(url)).length;

/** Begins a Reprovision that is pending until the cloud assigns the device, which it does without `interfere`. */
async function undecided({ cloud, identity }: CloudDevice) {
  cloud.interfere = ({ path }) =>
    path.includes('operations') && path.includes(deviceName)
      ? {
          status: 202,
          headers: { 'retry-after': '1' },
          body: { operationId: path.at(-1), status: 'assigning' },
        }
      : undefined;
  const before = polls(cloud);
  const reply = identity.Reprovision({});
  reply.catch(() => undefined); // awaited by the test
  await until(30_000, 'a request to the cloud', () => polls(cloud) > before);
  return { reply };
}

test('retries at once with settings under which it can succeed', async () => {
  await using running = await startCloudDevice({ ...staying, cloud: {} });
  const { rig, cloud, identity } = running;
  const good = settingsFor(rig, cloud);
  assert.is(await failureOf(identity.Provision({})), 'Unavailable');
  await rig.configure('identity', good);
  assert.is(await rig.reload('identity'), 'reloaded');
  await untilState(identity, 'provisioned');
  assert.is((await shown(identity)).health, 'ok');
});

test('uses another source, or none, according to the new configuration', async () => {
  await using running = await startCloudDevice(staying);
  const { rig, cloud, identity } = running;
  await identity.Provision({});
  const requests = cloud.requests.length;
  const { provisioning, ...rest } = settingsFor(rig, cloud);
  await rig.configure('identity', {
    ...rest,
    provisioning: { ...provisioning, registration_id: 'other' },
  });
  assert.is(await rig.reload('identity'), 'reloaded');
  await until(30_000, 'an attempt as another device', () => cloud.requests.length > requests);
  const isKept = async () =>
    /registration id "edge-device-1", now "other"/.test((await shown(identity)).last_error);
  await until(30_000, 'both names', isKept);
  assert.is((await shown(identity)).health, 'degraded');
  await rig.configure('identity', settingsFor(rig, cloud));
  assert.is(await rig.reload('identity'), 'reloaded');
  assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
  const { properties } = await shown(identity);
  assert.equal([properties['Source'], properties['Attestation']], ['dps', 'x509']);
});

test('completes a call under the configuration under which it began', async () => {
  await using running = await startCloudDevice(staying);
  const { rig, cloud, identity } = running;
  await identity.Provision({});
  const again = await undecided(running);
  await rig.configure('identity', {
    ...settingsFor(rig, cloud),
    log_level: 'debug',
    cloud: { ...settingsFor(rig, cloud).cloud, timeout_s: 30 },
  });
  assert.is(await rig.reload('identity'), 'reloaded');
  cloud.interfere = undefined;
  const { device } = await deadline(60_000, again.reply, 'the end of the call');
  assert.is(device.device_id, deviceName);
  assert.is((await shown(identity)).properties['State'], 'provisioned');
});

test('completes a call for its device when the new configuration is about another one', async () => {
  await using running = await startCloudDevice(staying);
  const { rig, cloud, identity } = running;
  await identity.Provision({});
  const again = await undecided(running);
  const { provisioning, ...rest } = settingsFor(rig, cloud);
  const other = { ...provisioning, registration_id: 'other' };
  await rig.configure('identity', { ...rest, provisioning: other });
  assert.is(await rig.reload('identity'), 'reloaded');
  // the current device stays until the other one is provisioned
  assert.match((await shown(identity)).last_error, 'now "other"');
  cloud.interfere = undefined;
  const { device } = await deadline(60_000, again.reply, 'the end of the call');
  assert.is(device.device_id, deviceName);
  const isRequested = (): boolean =>
    cloud.requests.some(({ url }) => url.includes('/registrations/other/'));
  await until(30_000, 'an attempt as the other device', isRequested);
  assert.is((await shown(identity)).health, 'degraded');
});

test('knows the principals of the new configuration', async () => {
  await using running = await startCloudDevice(staying);
  const { rig, cloud, identity } = running;
  await identity.Provision({});
  const outcome = async (): Promise<string> => {
    const { busName, path, manager } = identityService;
    const words = ['call', busName, path, manager.name, 'GetCallerIdentity', 'a{sv}', '0'];
    const { stdout, stderr } = await rig.busctl(words, 'alice');
    return stdout + stderr;
  };
  assert.match(await outcome(), 'names no identity');
  const principals = { app: { uid: rigUsers.alice } };
  await rig.configure('identity', { ...settingsFor(rig, cloud), principals });
  assert.is(await rig.reload('identity'), 'reloaded');
  assert.match(await outcome(), deviceName);
  const twice = { ...principals, same: { uid: rigUsers.alice } };
  await rig.configure('identity', { ...settingsFor(rig, cloud), principals: twice });
  assert.is(await rig.reload('identity'), 'refused');
  assert.match((await shown(identity)).last_error, 'has an identity above');
  assert.match(await outcome(), deviceName);
});

test.run();
