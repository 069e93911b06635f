/** Long operations on identities: resuming them after a kill, the authorization of Cancel, and their properties. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { busctlProperty } from '../../support/clients/busctl.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { operatorsMayDoEverything } from '../../support/rig/rig-polkit.ts';
import { identityOf } from '../../support/rig/rig-users.ts';

const test = suite<CloudDevice>('operations on identities');
const patient = { timeoutMs: 60_000 };
const later = { options: { wait: false } };

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
  await context.identity.Provision({}, patient);
});

test.after(async (context) => context[Symbol.asyncDispose]());

function registrations({ requests }: Cloud): number {
  return requests.filter(({ method, url }) => method === 'PUT' && /register/.test(url)).length;
}

function onHub(cloud: Cloud, id: string): boolean {
  return cloud.registry.modules.get(deviceName)?.has(id) === true;
}

/** The response of the cloud while the device is not assigned. */
function undecided() {
  const body = { operationId: 'x', status: 'assigning' };
  return { status: 202, headers: { 'retry-after': '60' }, body };
}

async function pendingFiles(rig: Rig): Promise<readonly string[]> {
  return readdir(join(rig.stateDirectory('identity'), 'operations'));
}

/** The response of a busy hub: an operation continues as long as that. */
function busy() {
  return { status: 429, headers: { 'retry-after': '10' }, body: {} };
}

/** Kills the service right after it has accepted, while the cloud has not completed it, and starts it again. */
async function killedAfter(
  { rig, bus, cloud }: CloudDevice,
  accepted: () => Promise<unknown>,
  meanwhile: Cloud['interfere'] = busy,
): Promise<void> {
  cloud.interfere = meanwhile;
  await accepted();
  await rig.stop('identity', 'SIGKILL');
  assert.is((await pendingFiles(rig)).length, 1);
  cloud.interfere = undefined;
  await client(bus, identityService, identityInterface).Describe({});
}

async function untilIdle(rig: Rig): Promise<void> {
  await until(30_000, 'no pending operation', async () => (await pendingFiles(rig)).length === 0);
  // it is published after its record is gone
  const isEnded = async () => (await busctlProperty(rig, 'identity', 'Operation')) === '';
  await until(30_000, 'the end of the operation', isEnded);
}

test('are carried out after SIGKILL when they were accepted', async (setting) => {
  const { rig, cloud, identity } = setting;
  const before = registrations(cloud);
  await killedAfter(setting, () => identity.Reprovision(later), undecided);
  // the Retry-After of a minute for the killed process does not apply
  await until(30_000, 'a registration', () => registrations(cloud) > before);
  await untilIdle(rig);
  await killedAfter(setting, () => identity.CreateModuleIdentity({ module_id: 'cut', ...later }));
  await untilIdle(rig);
  assert.ok(onHub(cloud, 'cut'));
  assert.is((await identity.GetModuleIdentity({ module_id: 'cut' })).identity.module_id, 'cut');
  await killedAfter(setting, () => identity.DeleteModuleIdentity({ module_id: 'cut', ...later }));
  await untilIdle(rig);
  assert.not(onHub(cloud, 'cut'));
  assert.is(await failureOf(identity.GetModuleIdentity({ module_id: 'cut' })), 'NotFound');
});

test('are refused with wait false as with true when they cannot begin', async ({ identity }) => {
  const absent = { module_id: 'absent', ...later };
  assert.is(await failureOf(identity.DeleteModuleIdentity(absent)), 'NotFound');
});

for (const [action, other] of [
  ['provision', 'manage'],
  ['manage', 'provision'],
] as const) {
  test(`are cancelled by users who may ${action}, when that is in progress, not by users who may ${other}`, async (setting) => {
    const { rig, cloud, identity } = setting;
    await rig.setRules(`${operatorsMayDoEverything}
      polkit.addRule(function (action, subject) {
        if (subject.user === 'alice' && action.id === 'org.iotedge.identity1.${action}') return polkit.Result.YES;
      });`);
    await using alices = await connectAs(rig.address, identityOf('alice'));
    const alice = client(alices, identityService, identityInterface);
    const cancel = (id: string) => failureOf(alice.Cancel({ id }));
    const may = (needed: string, code: string) => (needed === action ? code : 'AccessDenied');
    assert.is(await cancel(''), may('provision', 'NotFound'));
    assert.is(await cancel('nobody'), may('provision', 'NotFound'));
    cloud.interfere = undecided;
    const again = failureOf(identity.Reprovision({}, patient));
    const operation = async () =>
      (await busctlProperty(rig, 'identity', 'Operation')) === 'Reprovision';
    await until(30_000, 'the operation', operation);
    assert.is(await cancel(''), may('provision', 'no failure'));
    if (action !== 'provision') await identity.Cancel({ id: '' });
    assert.is(await again, 'Cancelled');
    cloud.interfere = undefined;
    await identity.Reprovision({}, patient);
    // it is created, and gets no keys
    cloud.interfere = ({ method }) =>
      method === 'PUT' && onHub(cloud, 'slow') ? busy() : undefined;
    const making = failureOf(identity.CreateModuleIdentity({ module_id: 'slow' }, patient));
    await until(30_000, 'the module', () => onHub(cloud, 'slow'));
    assert.is(await failureOf(identity.DeleteModuleIdentity({ module_id: 'slow' })), 'Unavailable');
    assert.is(await cancel('slow'), may('manage', 'no failure'));
    if (action !== 'manage') await identity.Cancel({ id: 'slow' });
    assert.is(await making, 'Cancelled');
    cloud.interfere = undefined;
    await identity.CreateModuleIdentity({ module_id: 'slow' }, patient);
    await identity.DeleteModuleIdentity({ module_id: 'slow' });
  });
}

test.run();
