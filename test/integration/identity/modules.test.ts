/** The identities of modules, with their keys in the real Keys service. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import type { Cloud } from '../../support/cloud/cloud.ts';
import type { CloudRequest } from '../../support/cloud/exchange.ts';
import type { RegisteredModule } from '../../support/cloud/records.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { failureOf } from '../../support/failure.ts';
import { identityStatus } from '../../support/identity/identity-status.ts';
import { Rig } from '../../support/rig/rig.ts';
import { startRigCloud, useCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';

const patient = { timeoutMs: 60_000 };

/** A provisioned device. */
class Setting implements AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly cloud: Cloud;
  readonly identity: Client<typeof identityInterface>;

  private constructor(rig: Rig, bus: Bus, cloud: Cloud) {
    this.rig = rig;
    this.bus = bus;
    this.cloud = cloud;
    this.identity = client(bus, identityService, identityInterface);
  }

  static async start(): Promise<Setting> {
    const rig = await Rig.start();
    const setting = new Setting(rig, await rig.connect(), await startRigCloud(rig));
    await useCloud(rig, setting.cloud);
    await setting.identity.Provision({}, patient);
    return setting;
  }

  /** The registration of a module on the hub. */
  onHub(id: string): RegisteredModule | undefined {
    return this.cloud.registry.modules.get(deviceName)?.get(id);
  }

  /** Creates a module on the hub, as other software would. */
  put(module: Pick<RegisteredModule, 'moduleId'> & Partial<RegisteredModule>): void {
    this.cloud.registry.put(deviceName, module);
  }

  /** The ids of the modules that have an object on the bus. */
  async objects(): Promise<readonly string[]> {
    const { busName, path } = identityService;
    const { stdout } = await this.rig.busctl(['--list', 'tree', busName]);
    const prefix = `${path}/module/`;
    return stdout.split('\n').flatMap((line) => line.split(prefix)[1] ?? []);
  }

  /** Whether the hub accepts a token of a module for its own resource. */
  refusal(token: string, id: string): string | undefined {
    const key = Buffer.from(this.onHub(id)?.keys?.primaryKey ?? '', 'base64');
    const resource = `${this.cloud.host}/devices/${deviceName}/modules/${id}`;
    return refusalOfSas(token, { resource, key, now: new Date() });
  }

  async token(id: string): Promise<string> {
    const request = { module_id: id, audience: '', lifetime_s: 0 };
    return (await this.identity.CreateSasToken(request)).token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.cloud[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

const test = suite<{ setting: Setting }>('identities of modules');

test.before.each(async (context) => {
  context.setting = await Setting.start();
});
test.after.each(({ setting }) => setting[Symbol.asyncDispose]());

test('have keys on the hub that verify their tokens, across a restart too', async ({ setting }) => {
  const { identity, rig } = setting;
  const options = { adopt: true }; // the hub created it with the device
  const { identity: made } = await identity.CreateModuleIdentity({
    module_id: '$edgeAgent',
    options,
  });
  assert.is(made.generation_id, setting.onHub('$edgeAgent')?.generationId);
  assert.is(made.derivation.toString(), `$edgeAgent:${made.generation_id}:primary`);
  assert.is(setting.refusal(await setting.token('$edgeAgent'), '$edgeAgent'), undefined);
  assert.is.not(setting.refusal(await setting.token('$edgeAgent'), 'other'), undefined);
  await rig.stop('identity');
  assert.equal((await identity.GetModuleIdentity({ module_id: '$edgeAgent' })).identity, made);
  assert.equal(await setting.objects(), ['_24edgeAgent']);
  assert.is(setting.refusal(await setting.token('$edgeAgent'), '$edgeAgent'), undefined);
});

for (const [what, interfere] of [
  [
    'created, and the response was lost',
    ({ method, headers }: CloudRequest, setting: Setting) => {
      if (method !== 'PUT' || headers['if-match'] !== undefined) return undefined;
      setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
      return { status: 503 };
    },
  ],
  [
    'created, without its keys',
    ({ headers }: CloudRequest) =>
      headers['if-match'] === undefined ? undefined : { status: 503 },
  ],
] as const) {
  test(`are completed when an interrupted call has left one ${what}`, async ({ setting }) => {
    const { cloud, identity, rig } = setting;
    cloud.interfere = (request) => interfere(request, setting);
    const create = { module_id: 'mine' };
    assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
    const left = setting.onHub('mine');
    assert.ok(left);
    assert.equal((await identity.ListModuleIdentities({})).identities, []);
    await rig.stop('identity');
    cloud.interfere = undefined;
    const { identity: made } = await identity.CreateModuleIdentity(create);
    assert.is(made.generation_id, left.generationId);
    assert.is(setting.refusal(await setting.token('mine'), 'mine'), undefined);
  });
}

test('that the hub refused are not owned when other software creates them', async ({ setting }) => {
  const { cloud, identity } = setting;
  cloud.interfere = () => ({ status: 503 });
  const create = { module_id: 'mine' };
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
  cloud.interfere = undefined;
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'AlreadyExists');
  assert.is(await failureOf(identity.DeleteModuleIdentity(create)), 'NotFound');
});

test('that failed are named in LastError, except the oldest of more than sixteen', async ({
  setting,
}) => {
  const { bus, cloud, identity } = setting;
  cloud.interfere = () => ({ status: 500 });
  for (let at = 0; at < 18; at++) {
    const create = identity.CreateModuleIdentity({ module_id: `failed-${at}` });
    assert.is(await failureOf(create), 'Unavailable');
  }
  const { lastError } = await identityStatus(bus);
  assert.ok(lastError.startsWith('module "failed-2": '), lastError);
});

for (const status of [400, 403, 429]) {
  test(`that the hub refused to create (${status}) are not owned when other software creates them`, async ({
    setting,
  }) => {
    const { cloud, identity } = setting;
    cloud.interfere = ({ method }) => (method === 'PUT' ? { status, body: {} } : undefined);
    const create = { module_id: 'mine' };
    assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
    cloud.interfere = undefined;
    setting.put({ moduleId: 'mine', managedBy: 'IotEdge' });
    const theirs = setting.onHub('mine');
    assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'AlreadyExists');
    assert.is(await failureOf(identity.DeleteModuleIdentity(create)), 'NotFound');
    assert.equal(setting.onHub('mine'), theirs);
  });
}

for (const status of [500, 503]) {
  test(`of a request that failed (${status}) without creating them are not owned when other software creates them`, async ({
    setting,
  }) => {
    const { cloud, identity } = setting;
    cloud.interfere = ({ method }) => (method === 'PUT' ? { status } : undefined);
    const create = { module_id: 'mine' };
    assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
    cloud.interfere = undefined;
    setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
    const theirs = setting.onHub('mine');
    assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'AlreadyExists');
    assert.is(await failureOf(identity.DeleteModuleIdentity(create)), 'NotFound');
    assert.equal(setting.onHub('mine'), theirs);
  });
}

test('of another manager are not owned when a concurrent request of the service failed', async ({
  setting,
}) => {
  const { cloud, identity } = setting;
  cloud.interfere = ({ method }) => {
    if (method !== 'PUT') return undefined;
    setting.put({ moduleId: 'mine', managedBy: 'puppet' });
    return { status: 500 };
  };
  const create = { module_id: 'mine' };
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  cloud.interfere = undefined;
  const theirs = setting.onHub('mine');
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'AlreadyExists');
  assert.is(await failureOf(identity.DeleteModuleIdentity(create)), 'NotFound');
  assert.equal(setting.onHub('mine'), theirs);
});

test('whose creation failed after the hub had created them are owned by their generation', async ({
  setting,
}) => {
  const { cloud, identity, rig } = setting;
  cloud.interfere = ({ method, headers }) => {
    if (method !== 'PUT' || headers['if-match'] !== undefined) return undefined;
    setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
    return { status: 500 };
  };
  const create = { module_id: 'mine' };
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  const made = setting.onHub('mine');
  const file = join(rig.stateDirectory('identity'), 'modules', 'mine.json');
  assert.match(await readFile(file, 'utf8'), `"generationId":"${made?.generationId}"`);
  cloud.interfere = undefined;
  setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
  assert.is.not(setting.onHub('mine')?.generationId, made?.generationId);
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'AlreadyExists');
});

test('are completed by their manager where the state on the hub could not be queried', async ({
  setting,
}) => {
  const { cloud, identity } = setting;
  let isDown = false;
  cloud.interfere = ({ method }) => {
    if (method === 'PUT') {
      setting.put({ moduleId: 'mine', managedBy: 'iotedge' });
      isDown = true;
    }
    return isDown ? { status: 500 } : undefined;
  };
  const create = { module_id: 'mine' };
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  cloud.interfere = undefined;
  const { identity: made } = await identity.CreateModuleIdentity(create);
  assert.is(made.generation_id, setting.onHub('mine')?.generationId);
});

for (const method of ['GET', 'PUT']) {
  test(`that could not be created (${method}) have the manager of the next request`, async ({
    setting,
  }) => {
    const { cloud, identity } = setting;
    cloud.interfere = (request) => (request.method === method ? { status: 500 } : undefined);
    const create = (managed_by: string) =>
      identity.CreateModuleIdentity({ module_id: 'mine', options: { managed_by } });
    assert.is(await failureOf(create('first')), 'Unavailable');
    cloud.interfere = undefined;
    await create('second');
    assert.is(setting.onHub('mine')?.managedBy, 'second');
    assert.is(await failureOf(create('third')), 'AlreadyExists');
  });
}

test('are removed from the hub and from the device when they are deleted', async ({ setting }) => {
  const { identity } = setting;
  const module = { module_id: 'mine' };
  await identity.CreateModuleIdentity(module);
  await identity.DeleteModuleIdentity(module);
  assert.is(setting.onHub('mine'), undefined);
  assert.equal(await setting.objects(), []);
  assert.is(await failureOf(identity.GetModuleIdentity(module)), 'NotFound');
  assert.is(await failureOf(identity.DeleteModuleIdentity(module)), 'NotFound');
});

test('continue to work when an update does not reach the hub', async ({ setting }) => {
  const { cloud, identity, rig } = setting;
  const module = { module_id: 'mine' };
  const { identity: made } = await identity.CreateModuleIdentity(module);
  cloud.interfere = ({ method }) => (method === 'PUT' ? { status: 503 } : undefined);
  const update = { ...module, options: { managed_by: 'me' } };
  assert.is(await failureOf(identity.UpdateModuleIdentity(update)), 'Unavailable');
  await rig.stop('identity');
  assert.equal((await identity.GetModuleIdentity(module)).identity, made);
  assert.is(setting.refusal(await setting.token('mine'), 'mine'), undefined);
  cloud.interfere = undefined;
  await identity.UpdateModuleIdentity(update);
  assert.is(setting.onHub('mine')?.managedBy, 'me');
});

test('of the previous hub of the device are not those of the current one', async ({ setting }) => {
  const { identity, rig } = setting;
  const module = { module_id: 'mine' };
  const { identity: before } = await identity.CreateModuleIdentity(module);
  await using other = await startRigCloud(rig);
  await useCloud(rig, other);
  await rig.stop('identity');
  assert.is((await identity.Provision({}, patient)).device.hub_hostname, other.host);
  assert.is(await failureOf(identity.GetModuleIdentity(module)), 'NotFound');
  assert.equal((await identity.ListModuleIdentities({})).identities, []);
  assert.equal(await setting.objects(), []);
  // a module of that id on the new hub belongs to other software
  other.registry.put(deviceName, { moduleId: 'mine', managedBy: 'x', generationId: '1' });
  await identity.DeleteModuleIdentity(module);
  assert.ok(other.registry.modules.get(deviceName)?.delete('mine'));
  const { identity: after } = await identity.CreateModuleIdentity(module);
  assert.is(after.hub_hostname, other.host);
  assert.is.not(after.hub_hostname, before.hub_hostname);
});

test('refuse a response of the hub about another module', async ({ setting }) => {
  const { cloud, identity } = setting;
  cloud.interfere = () => ({ status: 200, body: { moduleId: 'other', generationId: '1' } });
  const create = { module_id: 'mine' };
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  cloud.interfere = () => ({ status: 200, body: { moduleId: 'mine', generationId: 'a\0b' } });
  assert.is(await failureOf(identity.CreateModuleIdentity(create)), 'Unavailable');
  assert.equal((await identity.ListModuleIdentities({})).identities, []);
  cloud.interfere = undefined;
  await identity.CreateModuleIdentity(create);
  const file = join(setting.rig.stateDirectory('identity'), 'modules', 'mine.json');
  assert.match(await readFile(file, 'utf8'), '"phase":"complete"');
});

test("of which the hub refuses one have the hub's message in the error and in LastError", async ({
  setting,
}) => {
  const { bus, cloud, identity } = setting;
  const body = {
    Message: 'ErrorCode:QuotaExceeded;Total number of modules on the device exceeded',
    ExceptionMessage: 'Tracking ID:0104-G:0-TimeStamp:01/02/2021 14:10:21',
  };
  cloud.interfere = () => ({ status: 403, body });
  const create = { module_id: 'mine' };
  const error: unknown = await identity.CreateModuleIdentity(create).catch((one: unknown) => one);
  const { lastError, health } = await identityStatus(bus);
  for (const text of [String(error), lastError]) {
    assert.match(text, 'QuotaExceeded');
    assert.match(text, '0104-G:0');
    assert.not.match(text, 'disabled');
  }
  assert.is(health, 'degraded');
  cloud.interfere = undefined;
  await identity.CreateModuleIdentity(create);
  const after = await identityStatus(bus);
  assert.equal([after.lastError, after.health], ['', 'ok']);
});

test('are not created with unknown kinds, usages and managers', async ({ setting }) => {
  const { identity } = setting;
  const codeOf = (options: object): Promise<string> =>
    failureOf(identity.CreateModuleIdentity({ module_id: 'mine', options }));
  assert.is(await codeOf({ kind: 'local' }), 'NotSupported');
  assert.is(await codeOf({ usage: 'server' }), 'NotSupported');
  assert.is(await codeOf({ managed_by: '' }), 'InvalidArgs');
  assert.is(await codeOf({ managed_by: 'a\nb' }), 'InvalidArgs');
  assert.is(await codeOf({ managed_by: 'x'.repeat(200) }), 'LimitsExceeded');
});

test.run();
