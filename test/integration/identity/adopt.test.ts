/** Module identities of other software: who may adopt them, and how. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { edgeModules } from '../../support/cloud/module-ids.ts';
import { nextEtag, type RegisteredModule } from '../../support/cloud/records.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { failureOf, messageOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import { deviceName } from '../../support/rig/rig-config.ts';

const patient = { timeoutMs: 60_000 };
const adopt = { adopt: true };
const test = suite<CloudDevice>('identities of other software');

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
  await context.identity.Provision({}, patient);
});
test.after(async (context) => context[Symbol.asyncDispose]());
test.after.each(async ({ cloud, identity }) => {
  cloud.interfere = undefined;
  const modules = cloud.registry.modules.get(deviceName);
  for (const id of modules?.keys() ?? []) if (!id.startsWith('$')) modules?.delete(id);
  for (const { module_id } of (await identity.ListModuleIdentities({})).identities) {
    await identity.DeleteModuleIdentity({ module_id, options: adopt });
  }
  for (const moduleId of edgeModules) {
    if (!modules?.has(moduleId)) cloud.registry.put(deviceName, { moduleId, managedBy: 'iotEdge' });
  }
});

function onHub(cloud: Cloud, id: string): RegisteredModule | undefined {
  return cloud.registry.modules.get(deviceName)?.get(id);
}

/** Whether the hub accepts a token of a module. */
async function refusalOf(
  { identity, cloud }: CloudDevice,
  id: string,
): Promise<string | undefined> {
  const request = { module_id: id, audience: '', lifetime_s: 0 };
  const { token } = await identity.CreateSasToken(request);
  const key = Buffer.from(onHub(cloud, id)?.keys.primaryKey ?? '', 'base64');
  const resource = `${cloud.host}/devices/${deviceName}/modules/${id}`;
  return refusalOfSas(token, { resource, key, now: new Date() });
}

for (const id of edgeModules) {
  test(`are adopted where the hub has created ${id} beforehand`, async (setting) => {
    const { cloud, identity } = setting;
    const before = onHub(cloud, id);
    const create = { module_id: id };
    assert.match(
      await messageOf(identity.CreateModuleIdentity(create)),
      /^AlreadyExists: .*managed by iotEdge/,
    );
    assert.equal(onHub(cloud, id), before);
    const options = { adopt: true, managed_by: 'iotEdge' };
    const { identity: made } = await identity.CreateModuleIdentity({ ...create, options });
    assert.is(made.generation_id, before?.generationId);
    assert.is(await refusalOf(setting, id), undefined);
    assert.is(onHub(cloud, id)?.managedBy, 'iotEdge');
  });
}

for (const managedBy of ['', 'iotedge', 'IotEdge', 'IOTEDGE', 'me']) {
  test(`are adopted when they are managed by ${managedBy || 'no one'}`, async (setting) => {
    const { cloud, identity } = setting;
    cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy });
    const options = { adopt: true, ...(managedBy === 'me' && { managed_by: 'me' }) };
    const request = { module_id: 'theirs' };
    assert.is(await failureOf(identity.CreateModuleIdentity(request)), 'AlreadyExists');
    assert.equal((await identity.ListModuleIdentities({})).identities, []);
    await identity.CreateModuleIdentity({ ...request, options });
    assert.is(await refusalOf(setting, 'theirs'), undefined);
    assert.is(onHub(cloud, 'theirs')?.managedBy, managedBy || 'iotedge');
    // from now on it is in the records of the service
    await identity.CreateModuleIdentity(request);
    await identity.UpdateModuleIdentity(request);
    await identity.DeleteModuleIdentity(request);
    assert.is(onHub(cloud, 'theirs'), undefined);
  });
}

test('stay with their manager, who is named', async ({ cloud, identity }) => {
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: 'puppet' });
  const before = onHub(cloud, 'theirs');
  const request = { module_id: 'theirs', options: adopt };
  for (const call of [
    () => identity.CreateModuleIdentity(request),
    () => identity.UpdateModuleIdentity(request),
    () => identity.DeleteModuleIdentity(request),
  ]) {
    assert.match(await messageOf(call()), 'AlreadyExists: module "theirs" is managed by puppet');
  }
  assert.equal(onHub(cloud, 'theirs'), before);
  assert.is(await failureOf(identity.GetModuleIdentity({ module_id: 'theirs' })), 'NotFound');
});

test('are updated and deleted only with adopt', async (setting) => {
  const { cloud, identity } = setting;
  const request = { module_id: 'theirs' };
  const withAdopt = { ...request, options: adopt };
  assert.is(await failureOf(identity.UpdateModuleIdentity(withAdopt)), 'NotFound');
  assert.is(await failureOf(identity.DeleteModuleIdentity(withAdopt)), 'NotFound');
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: 'IotEdge' });
  assert.is(await failureOf(identity.UpdateModuleIdentity(request)), 'NotFound');
  assert.is(await failureOf(identity.DeleteModuleIdentity(request)), 'NotFound');
  await identity.UpdateModuleIdentity(withAdopt);
  assert.is(await refusalOf(setting, 'theirs'), undefined);
  await identity.DeleteModuleIdentity(request);
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: 'IotEdge' });
  await identity.DeleteModuleIdentity(withAdopt);
  assert.is(onHub(cloud, 'theirs'), undefined);
});

test('under the id of an own module are recognized by another generation', async (setting) => {
  const { cloud, identity } = setting;
  const request = { module_id: 'mine' };
  await identity.CreateModuleIdentity(request);
  cloud.registry.put(deviceName, { moduleId: 'mine', managedBy: 'iotedge', generationId: '99' });
  const theirs = onHub(cloud, 'mine');
  assert.match(await messageOf(identity.UpdateModuleIdentity(request)), /^AlreadyExists: .*adopt/);
  assert.equal(onHub(cloud, 'mine'), theirs);
  const { identity: made } = await identity.UpdateModuleIdentity({ ...request, options: adopt });
  assert.is(made.generation_id, '99');
  assert.is(await refusalOf(setting, 'mine'), undefined);
  cloud.registry.put(deviceName, { moduleId: 'mine', managedBy: 'iotedge' });
  await identity.DeleteModuleIdentity(request);
  assert.ok(onHub(cloud, 'mine'));
  assert.is(await failureOf(identity.GetModuleIdentity(request)), 'NotFound');
});

test('are not written when they have changed since they were read', async ({ cloud, identity }) => {
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: '' });
  // other software changes it between the read and the write of the service
  cloud.interfere = ({ headers }) => {
    const module = onHub(cloud, 'theirs');
    if (headers['if-match'] === undefined || module === undefined) return undefined;
    cloud.registry.put(deviceName, { ...module, etag: nextEtag() });
    return undefined;
  };
  const request = { module_id: 'theirs', options: adopt };
  const keys = onHub(cloud, 'theirs')?.keys;
  for (const call of [identity.CreateModuleIdentity, identity.DeleteModuleIdentity]) {
    const error: unknown = await call(request).catch((reason: unknown) => reason);
    assert.ok(isServiceError(error, 'Unavailable'), String(error));
    assert.match(error.message, 'has changed the module meanwhile');
  }
  assert.equal(onHub(cloud, 'theirs')?.keys, keys);
  cloud.interfere = undefined;
  await identity.CreateModuleIdentity(request);
});

test('are listed with refresh, without a key of the service', async ({ cloud, identity }) => {
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: 'puppet', generationId: '7' });
  const { identity: mine } = await identity.CreateModuleIdentity({ module_id: 'mine' });
  const sentBefore = cloud.requests.length;
  assert.equal((await identity.ListModuleIdentities({})).identities, [mine]);
  assert.is(cloud.requests.length, sentBefore);
  const listed = await Promise.all(
    [1, 2, 3].map(() => identity.ListModuleIdentities({ options: { refresh: true } })),
  );
  assert.is(cloud.requests.length, sentBefore + 1);
  const byId = new Map(listed[0]?.identities.map((one) => [one.module_id, one]));
  assert.equal([...byId.keys()].sort(), ['$edgeAgent', '$edgeHub', 'mine', 'theirs']);
  assert.equal(byId.get('mine'), mine);
  const theirs = byId.get('theirs');
  assert.equal([theirs?.generation_id, theirs?.key_id, theirs?.auth], ['7', '', 'sas']);
  await identity.DeleteModuleIdentity({ module_id: 'mine' });
  const after = await identity.ListModuleIdentities({ options: { refresh: true } });
  assert.not(after.identities.some((one) => one.module_id === 'mine'));
});

test('are retried when the hub is busy, after its Retry-After', async ({ cloud, identity }) => {
  let refusals = 2;
  const throttled = { Message: 'ErrorCode:ThrottlingException;', ExceptionMessage: '' };
  cloud.interfere = () =>
    refusals-- > 0 ? { status: 429, headers: { 'retry-after': '1' }, body: throttled } : undefined;
  await identity.CreateModuleIdentity({ module_id: 'mine' }, patient);
  cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '60' }, body: throttled });
  const update = identity.UpdateModuleIdentity({ module_id: 'mine' }, patient);
  const error: unknown = await update.catch((reason: unknown) => reason);
  assert.match(String(error), 'ThrottlingException');
});

test('are adopted under an access rule only when it matches adopt', async (setting) => {
  const { cloud, identity, rig } = setting;
  const settings = (match: object): object => ({
    provisioning: { global_endpoint: cloud.endpoint },
    cloud: { trusted_ca: `${rig.directory}/secrets/trusted-ca.cer` },
    authorization: {
      backend: 'acl',
      acl: [{ user: 'alice', actions: ['org.iotedge.identity1.manage'], match }],
    },
  });
  const { busName, path, manager } = identityService;
  const call = async (member: string, ...option: string[]): Promise<string> => {
    const args = ['sa{sv}', 'theirs', ...(option.length > 0 ? ['1', ...option] : ['0'])];
    const words = ['call', busName, path, manager.name, member, ...args];
    return (await rig.busctl(words, 'alice')).stderr;
  };
  const withAdopt = ['adopt', 'b', 'true'];
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: '' });
  await rig.configure('identity', settings({ module_id: 'theirs' }));
  await rig.stop('identity');
  for (const verb of ['Create', 'Update', 'Delete']) {
    assert.match(await call(`${verb}ModuleIdentity`, ...withAdopt), 'Access denied');
    assert.not.match(await call(`${verb}ModuleIdentity`), 'Access denied');
  }
  await rig.configure('identity', settings({ module_id: 'theirs', adopt: 'true' }));
  await rig.stop('identity');
  assert.is(await call('CreateModuleIdentity', ...withAdopt), '');
  assert.is(await call('DeleteModuleIdentity', ...withAdopt), '');
  await rig.configure('identity', { ...settings({}), authorization: { backend: 'polkit' } });
  await rig.stop('identity');
  assert.equal((await identity.ListModuleIdentities({})).identities, []);
});

test('are persisted before the request to the hub, and removed when it refuses', async (setting) => {
  const { cloud, identity, rig } = setting;
  const file = join(rig.stateDirectory('identity'), 'modules', 'theirs.json');
  cloud.registry.put(deviceName, { moduleId: 'theirs', managedBy: '' });
  const saved: string[] = [];
  cloud.interfere = () => {
    saved.push(existsSync(file) ? readFileSync(file, 'utf8') : 'nothing');
    return undefined;
  };
  const request = { module_id: 'theirs' };
  assert.is(await failureOf(identity.CreateModuleIdentity(request)), 'AlreadyExists');
  assert.not(existsSync(file));
  await identity.CreateModuleIdentity({ ...request, options: adopt });
  const { generationId = '' } = onHub(cloud, 'theirs') ?? {};
  const phases = saved.map((text) => /"phase":"(\w+)"/.exec(text)?.[1]);
  assert.equal(phases, ['asking', 'asking', 'creating']);
  assert.match(saved.at(-1) ?? '', generationId);
});

test('are not created on a hub that has disabled the device, which is reported', async (setting) => {
  const { cloud, identity } = setting;
  const { devices } = cloud.registry;
  const device = devices.get(deviceName);
  assert.ok(device);
  devices.set(deviceName, { ...device, status: 'disabled' });
  const create = identity.CreateModuleIdentity({ module_id: 'mine' });
  const error: unknown = await create.catch((reason: unknown) => reason);
  devices.set(deviceName, device);
  assert.match(String(error), /HTTP 401 \(.*Device is disabled/);
  assert.not.match(String(error), 'enrolled');
});

test('leave no room on a device with too many modules', async ({ cloud, identity }) => {
  const made = Array.from({ length: 48 }, (_, at) => `filler-${at}`);
  for (const moduleId of made) cloud.registry.put(deviceName, { moduleId });
  const create = identity.CreateModuleIdentity({ module_id: 'mine' });
  const error: unknown = await create.catch((reason: unknown) => reason);
  assert.match(String(error), 'Total number of modules on the device exceeded');
  for (const moduleId of made) cloud.registry.modules.get(deviceName)?.delete(moduleId);
  await identity.CreateModuleIdentity({ module_id: 'mine' });
});

test.run();
