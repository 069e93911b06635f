/** Every method of Identity1 through busctl, its tokens verified by the hub. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { identityService } from '../../../src/interfaces/identity.ts';
import { busctlCall, busctlProperty, fieldsOf } from '../../support/clients/busctl.ts';
import { introspected } from '../../support/clients/introspection.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { startRigCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { type RigUser, rigUsers } from '../../support/rig/rig-users.ts';

const { busName, path, manager } = identityService;
const none = ['a{sv}', '0'];

const test = suite<{ rig: Rig; cloud: Cloud }>('Identity1 through busctl');

test.before(async (context) => {
  context.rig = await Rig.start();
  context.cloud = await startRigCloud(context.rig);
  await context.rig.configure('identity', {
    principals: { app: { uid: rigUsers.alice, module_id: 'app' } },
    provisioning: { global_endpoint: context.cloud.endpoint },
    cloud: { trusted_ca: `${context.rig.directory}/secrets/trusted-ca.cer` },
  });
});
test.after(async ({ rig, cloud }) => {
  await cloud[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

/** The result of a method that has one value. */
async function call(rig: Rig, member: string, args: readonly string[], user: RigUser = 'operator') {
  const [value] = await busctlCall(rig, { service: 'identity', member, args, user });
  return value;
}

/** The failure of a call, as busctl prints it. */
async function failure(
  rig: Rig,
  member: string,
  args: readonly string[],
  user: RigUser = 'operator',
): Promise<string> {
  const words = ['call', busName, path, manager.name, member, ...args];
  const { code, stderr } = await rig.busctl(words, user);
  assert.is(code, 1, `${member} ${args.join(' ')}`);
  assert.not.match(stderr, 'internal error');
  return stderr;
}

const denial = /[Aa]ccess denied|not authorized|not allowed/;

test('Provision, Reprovision and GetDeviceIdentity return the device', async ({ rig, cloud }) => {
  assert.match(await failure(rig, 'GetCallerIdentity', none, 'alice'), /not provisioned|no module/);
  const device = fieldsOf(await call(rig, 'Provision', none));
  assert.equal(device, {
    kind: 'device',
    hub_hostname: cloud.host,
    gateway_hostname: cloud.host,
    device_id: deviceName,
    module_id: '',
    generation_id: '',
    auth: 'x509',
    key_id: 'device-id',
    derivation: [],
    certificate_id: 'device-id',
  });
  const sentBefore = cloud.requests.length;
  assert.equal(fieldsOf(await call(rig, 'GetDeviceIdentity', none, 'alice')), device);
  assert.is(cloud.requests.length, sentBefore);
  const again = ['a{sv}', '1', 'wait', 'b', 'true'];
  assert.equal(fieldsOf(await call(rig, 'Reprovision', again)), device);
  assert.ok(cloud.requests.length > sentBefore);
  const properties = ['State', 'DeviceId', 'HubHostname', 'Source', 'Attestation', 'LastError'];
  const values = properties.map((name) => busctlProperty(rig, 'identity', name));
  const expected = ['provisioned', deviceName, cloud.host, 'dps', 'x509', ''];
  assert.equal(await Promise.all(values), expected);
  const last = Number(await busctlProperty(rig, 'identity', 'LastProvisioned')) / 1000;
  assert.ok(Math.abs(Date.now() - last) < 600_000);
});

test('Create, Get, List, Update and DeleteModuleIdentity are consistent with the hub', async ({
  rig,
  cloud,
}) => {
  const hub = () => cloud.registry.modules.get(deviceName)?.get('web');
  const options = ['2', 'kind', 's', 'module', 'managed_by', 's', 'me'];
  const made = fieldsOf(await call(rig, 'CreateModuleIdentity', ['sa{sv}', 'web', ...options]));
  assert.is(made['generation_id'], hub()?.generationId);
  assert.is(hub()?.managedBy, 'me');
  assert.is(made['kind'], 'module');
  assert.is(made['auth'], 'sas');
  assert.is(made['key_id'], 'iotedge/module-identities');
  const derivation = Buffer.from(made['derivation'] as number[]); // an ay
  assert.is(derivation.toString(), `web:${hub()?.generationId}:primary`);
  const web = ['sa{sv}', 'web', '0'];
  assert.equal(fieldsOf(await call(rig, 'GetModuleIdentity', web, 'alice')), made);
  const list = (await call(rig, 'ListModuleIdentities', none, 'alice')) as unknown[]; // an aa{sv}
  assert.equal(list.map(fieldsOf), [made]);
  const object = `${path}/module/web`;
  const property = ['get-property', busName, object, `${manager.name}.ModuleIdentity`];
  const { stdout } = await rig.busctl([...property, 'GenerationId', 'ModuleId'], 'alice');
  assert.is(stdout, `s "${hub()?.generationId}"\ns "web"\n`);
  assert.equal(fieldsOf(await call(rig, 'UpdateModuleIdentity', web)), made);
  await call(rig, 'DeleteModuleIdentity', web);
  assert.is(hub(), undefined);
  assert.match(await failure(rig, 'GetModuleIdentity', web), 'no module identity "web"');
  assert.is((await rig.busctl([...property, 'ModuleId'])).code, 1);
});

test('CreateSasToken creates tokens that the hub accepts, for no longer than requested', async ({
  rig,
  cloud,
}) => {
  await call(rig, 'CreateModuleIdentity', ['sa{sv}', 'app', '0']);
  const resource = `${cloud.host}/devices/${deviceName}/modules/app`;
  const keys = cloud.registry.modules.get(deviceName)?.get('app')?.keys;
  const key = Buffer.from(keys?.primaryKey ?? '', 'base64');
  const refusal = async (audience: string, lifetimeS: number, aheadS: number) => {
    const args = ['ssua{sv}', 'app', audience, String(lifetimeS), '0'];
    const token = String(await call(rig, 'CreateSasToken', args));
    const now = new Date(Date.now() + aheadS * 1000);
    return refusalOfSas(token, { resource: audience === '' ? resource : audience, key, now });
  };
  assert.is(await refusal('', 0, 3500), undefined);
  assert.match((await refusal('', 0, 3700)) ?? '', 'expired');
  assert.is(await refusal('', 86_400, 86_000), undefined);
  assert.is(await refusal(`${resource}/messages/events`, 60, 0), undefined);
  assert.match((await refusal('', 60, 120)) ?? '', 'expired');
});

test('CreateSasToken and GetCallerIdentity are allowed for the user of the identity', async ({
  rig,
}) => {
  const own = fieldsOf(await call(rig, 'GetCallerIdentity', none, 'alice'));
  assert.is(own['module_id'], 'app');
  await call(rig, 'CreateSasToken', ['ssua{sv}', 'app', '', '60', '0'], 'alice');
  await call(rig, 'CreateModuleIdentity', ['sa{sv}', 'web', '0']);
  for (const [member, args] of [
    ['CreateSasToken', ['ssua{sv}', 'web', '', '60', '0']],
    ['CreateSasToken', ['ssua{sv}', 'absent', '', '60', '0']],
    ['CreateSasToken', ['ssua{sv}', '', '', '60', '0']],
    ['CreateModuleIdentity', ['sa{sv}', 'app', '0']],
    ['UpdateModuleIdentity', ['sa{sv}', 'app', '0']],
    ['DeleteModuleIdentity', ['sa{sv}', 'app', '0']],
    ['Provision', none],
    ['Reprovision', none],
    ['Cancel', ['sa{sv}', '', '0']],
  ] as const) {
    assert.match(await failure(rig, member, args, 'alice'), denial, member);
  }
  assert.match(await failure(rig, 'GetCallerIdentity', none, 'operator'), 'no identity for uid');
  await call(rig, 'DeleteModuleIdentity', ['sa{sv}', 'web', '0']);
});

test('Cancel ends pending provisioning, and its callers receive the cancellation', async ({
  rig,
  cloud,
}) => {
  const body = { operationId: 'x', status: 'assigning' };
  let polled = 0;
  cloud.interfere = () => {
    polled++;
    return { status: 202, headers: { 'retry-after': '60' }, body };
  };
  const waiting = failure(rig, 'Reprovision', none);
  await until(30_000, 'a request', () => polled > 0);
  await call(rig, 'Cancel', ['sa{sv}', '', '0']);
  assert.match(await waiting, 'Reprovision of the device was cancelled');
  cloud.interfere = undefined;
  assert.match(
    await failure(rig, 'Cancel', ['sa{sv}', '', '0']),
    'no operation of the device is in progress',
  );
  assert.match(
    await failure(rig, 'Cancel', ['sa{sv}', 'x', '0']),
    'no operation of module "x" is in progress',
  );
  assert.is(fieldsOf(await call(rig, 'Provision', none))['device_id'], deviceName);
  await call(rig, 'Reprovision', none);
});

test('Reprovision with wait false returns before the cloud replies', async ({ rig, cloud }) => {
  let polled = 0;
  const body = { operationId: 'x', status: 'assigning' };
  cloud.interfere = () => {
    polled++;
    return { status: 202, headers: { 'retry-after': '60' }, body };
  };
  const reply = await call(rig, 'Reprovision', ['a{sv}', '1', 'wait', 'b', 'false']);
  assert.is(fieldsOf(reply)['device_id'], deviceName);
  await until(30_000, 'a request', () => polled > 0);
  assert.is(await busctlProperty(rig, 'identity', 'State'), 'provisioning');
  cloud.interfere = undefined;
  await call(rig, 'Cancel', ['sa{sv}', '', '0']);
});

test('Describe returns everything public, and nothing private', async ({ rig }) => {
  const json = String(await call(rig, 'Describe', none, 'alice'));
  const described = JSON.parse(json) as { readonly service: string; readonly objects: object };
  assert.is(described.service, 'identity');
  assert.equal(Object.keys(described.objects), ['app']);
  assert.not.match(json, /SharedAccess|PRIVATE/);
});

test('introspection has the names of arguments, and the properties', async ({ rig }) => {
  const table = await introspected(rig, 'identity');
  assert.match(table, /\.CreateSasToken +method +ssua\{sv\} +s /);
  const module = (await rig.busctl(['introspect', busName, `${path}/module/app`])).stdout;
  assert.match(module, /\.ModuleId +property +s +"app" +const/);
});

const malformed: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Provision: [
    ['a{sv}', '1', 'wait', 's', 'yes'],
    ['a{sv}', '1', 'force', 'b', 'true'],
    ['s', 'x'],
  ],
  Reprovision: [['a{sv}', '1', 'wait', 'u', '1']],
  GetDeviceIdentity: [
    ['s', 'x'],
    ['a{sv}', '1', 'x', 's', 'y'],
  ],
  GetCallerIdentity: [['u', '0']],
  GetModuleIdentity: [
    ['sa{sv}', '', '0'],
    ['sa{sv}', 'a/b', '0'],
    ['s', 'app'],
  ],
  ListModuleIdentities: [['a{sv}', '1', 'x', 's', 'y']],
  CreateModuleIdentity: [
    ['sa{sv}', 'a/../b', '0'],
    ['sa{sv}', 'new', '1', 'managed_by', 's', ''],
    ['sa{sv}', 'new', '1', 'managed_by', 's', 'x'.repeat(129)],
    ['sa{sv}', 'new', '1', 'kind', 's', 'device'],
    ['sa{sv}', 'new', '1', 'kind', 'u', '1'],
  ],
  UpdateModuleIdentity: [
    ['sa{sv}', '.', '0'],
    ['sa{sv}', 'app', '1', 'usage', 's', 'server'],
  ],
  DeleteModuleIdentity: [
    ['sa{sv}', '..', '0'],
    ['sa{sv}', 'app', '1', 'force', 'b', 'true'],
  ],
  CreateSasToken: [
    ['ssua{sv}', 'app', '', '86401', '0'],
    ['ssua{sv}', 'app', 'other.host/devices/x', '60', '0'],
    ['ssua{sv}', 'app', `localhost/devices/${deviceName}`, '60', '0'],
    ['ssua{sv}', 'x'.repeat(129), '', '60', '0'],
    ['ssua{sv}', 'app', 'x'.repeat(5000), '60', '0'],
    ['ssua{sv}', 'a/b', '', '60', '0'],
    ['sssa{sv}', 'app', '', '60', '0'],
  ],
  Cancel: [
    ['s', ''],
    ['sa{sv}', 'x'.repeat(129), '0'],
  ],
  Describe: [['a{sv}', '1', 'odd', 's', 'x']],
};

for (const [member, calls] of Object.entries(malformed)) {
  test(`${member} refuses invalid arguments`, async ({ rig }) => {
    for (const args of calls) {
      const words = await failure(rig, member, args);
      // an operator is allowed to, and no request reaches the cloud
      assert.not.match(words, denial);
      assert.not.match(words, /HTTP|try again/);
    }
    const list = (await call(rig, 'ListModuleIdentities', none)) as unknown[]; // an aa{sv}
    assert.is(list.length, 1);
    assert.is(await busctlProperty(rig, 'identity', 'State'), 'provisioned');
  });
}

test.run();
