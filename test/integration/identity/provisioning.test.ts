import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { CloudError } from '../../../src/identity/cloud.ts';
import { Device, type ProvisioningStatus } from '../../../src/identity/device.ts';
import { Hub } from '../../../src/identity/hub.ts';
import { ModuleKeyring } from '../../../src/identity/keys.ts';
import { ModuleIdentities } from '../../../src/identity/modules.ts';
import { DpsProvisioner } from '../../../src/identity/provisioners/dps.ts';
import { IdentityState } from '../../../src/identity/state.ts';
import { parseModuleId } from '../../../src/ids.ts';
import { Cloud } from '../../support/cloud/cloud.ts';
import { deadline } from '../../support/deadline.ts';
import { DeviceCloud } from '../../support/device-cloud.ts';
import { Pki } from '../../support/pki.ts';

const scopeId = '0ne00000001';
const base = Buffer.alloc(32, 9);
const silent = { error: ignore, warn: ignore, info: ignore, debug: ignore };
const signal = new AbortController().signal;

function ignore(): void {
  // these tests look at results, not at records
}

function derive(derivation: Buffer): Buffer {
  return createHmac('sha256', base).update(derivation).digest();
}

function unexpected(): never {
  throw new Error('not expected here');
}

/** The three methods of the Keys service that identities need, over one base key. */
const keyring = new ModuleKeyring({
  CreateKey: async () => ({ key: '/key' }),
  ExportKey: async ({ options }) => ({ material: derive(options?.derivation ?? unexpected()) }),
  Sign: async ({ data, options }) => ({
    signature: createHmac('sha256', derive(options?.derivation ?? unexpected()))
      .update(data)
      .digest(),
  }),
  CreateKeyPair: unexpected,
  ImportKey: unexpected,
  DeleteKey: unexpected,
  GetPublicKey: unexpected,
  Verify: unexpected,
  Encrypt: unexpected,
  Decrypt: unexpected,
  GetRandom: unexpected,
  Describe: unexpected,
});

/** A cloud that knows `device-1`, and a device with its own state directory. */
class Setting implements AsyncDisposable {
  readonly cloud: Cloud;
  readonly directory: string;
  readonly client: DeviceCloud;
  readonly statuses: ProvisioningStatus[] = [];
  readonly #pki: Pki;

  private constructor(parts: { cloud: Cloud; directory: string; client: DeviceCloud; pki: Pki }) {
    this.cloud = parts.cloud;
    this.directory = parts.directory;
    this.client = parts.client;
    this.#pki = parts.pki;
  }

  static async start(): Promise<Setting> {
    const pki = await Pki.create();
    const server = await pki.issue('cloud', ['localhost']);
    const cloud = await Cloud.start({
      ...server,
      clientRoots: pki.root.certificate,
      scopeId,
      retryAfterS: 0,
      enrollments: new Map([['device-1', { deviceId: 'device-1' }]]),
    });
    const client = new DeviceCloud(await pki.issue('device-1'), pki.root.certificate);
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-identity-'));
    return new Setting({ cloud, directory, client, pki });
  }

  provisioner(): DpsProvisioner {
    return new DpsProvisioner({
      globalEndpoint: this.cloud.endpoint,
      scopeId,
      registrationId: async () => 'device-1',
      cloud: this.client,
      delay: (ms, stop) => delay(ms, undefined, { signal: stop }),
    });
  }

  async device(): Promise<Device> {
    return Device.load({
      dps: {
        scopeId,
        registrationId: undefined,
        certificateId: 'device-id',
        keyId: 'device-id',
        globalEndpoint: this.cloud.endpoint,
      },
      provisioner: this.provisioner(),
      state: await IdentityState.open(this.directory),
      publish: (status) => this.statuses.push(status),
      log: silent,
      now: () => new Date(),
    });
  }

  async modules(device: Device): Promise<ModuleIdentities> {
    return ModuleIdentities.load({
      state: await IdentityState.open(this.directory),
      keyring,
      device: () => device.saved,
      hub: (saved) => new Hub(this.client, saved),
      published: { put: ignore, remove: ignore },
      log: silent,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.cloud[Symbol.asyncDispose]();
    await this.#pki[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ServiceError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, ServiceError);
  return error as ServiceError; // as just asserted
}

const test = suite('identity against the cloud double');

test('provisions, and remembers it without asking again', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  const saved = await deadline(10_000, device.provision({ again: false }), 'provisioning');
  assert.is(saved.deviceId, 'device-1');
  assert.is(saved.hubHostname, setting.cloud.host);
  const asked = setting.cloud.requests.length;
  const restarted = await setting.device();
  assert.equal(await restarted.provision({ again: false }), saved);
  assert.is(setting.cloud.requests.length, asked);
});

test('joins callers to the attempt under way', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  await Promise.all([1, 2, 3].map(() => device.provision({ again: false })));
  const registrations = setting.cloud.requests.filter(({ method }) => method === 'PUT');
  assert.is(registrations.length, 1);
});

for (const status of [401, 429, 503]) {
  test(`answers Unavailable on HTTP ${status}, says when it tries again, and keeps what was saved`, async () => {
    await using setting = await Setting.start();
    const device = await setting.device();
    const saved = await device.provision({ again: false });
    setting.cloud.interfere = () => ({ status, headers: { 'retry-after': '120' }, body: {} });
    const error = await failureOf(device.provision({ again: true }));
    assert.is(error.code, 'Unavailable');
    assert.instance(error, CloudError);
    assert.match(device.status.lastError, String(status));
    const wait = (device.status.nextAttempt?.getTime() ?? 0) - Date.now();
    assert.ok(wait > 110_000, `waits ${wait} ms`);
    assert.is(device.status.state, 'provisioned');
    assert.equal(device.saved, saved);
    device.stop();
  });
}

test('fails with the reason when the service does', async () => {
  await using setting = await Setting.start();
  setting.cloud.provisioning.outcome = 'failed';
  const device = await setting.device();
  const error = await failureOf(device.provision({ again: false }));
  assert.is(error.code, 'Unavailable');
  assert.match(error.message, /400207/);
  assert.is((await failureOf(Promise.resolve().then(() => device.saved))).code, 'NotProvisioned');
  device.stop();
});

test('gives everybody who waits Cancelled when it is cancelled', async () => {
  await using setting = await Setting.start();
  setting.cloud.interfere = () => ({
    status: 202,
    headers: { 'retry-after': '60' },
    body: { operationId: 'x', status: 'assigning' },
  });
  const device = await setting.device();
  const outcome = failureOf(device.provision({ again: false }));
  await delay(300);
  device.cancel();
  assert.is((await deadline(5000, outcome, 'cancelling')).code, 'Cancelled');
  assert.is(device.status.nextAttempt, undefined);
});

test('gives a module the keys that its derivations make', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  await device.provision({ again: false });
  const modules = await setting.modules(device);
  const id = parseModuleId('$edgeAgent');
  const module = await modules.create(id, 'iotedge', signal);
  const held = setting.cloud.registry.modules.get('device-1')?.get(id);
  const expected = derive(Buffer.from(`${id}:${module.generationId}:primary`)).toString('base64');
  assert.is(held?.keys?.primaryKey, expected);
  assert.is(held?.generationId, module.generationId);
  assert.equal((await setting.modules(device)).get(id), module);
});

test('completes a module that an interrupted call has left on the hub', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  const saved = await device.provision({ again: false });
  const id = parseModuleId('mine');
  await new Hub(setting.client, saved).create(id, 'iotedge', signal);
  const modules = await setting.modules(device);
  assert.is((await modules.create(id, 'iotedge', signal)).phase, 'complete');
});

test('leaves a module of somebody else alone', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  const saved = await device.provision({ again: false });
  const id = parseModuleId('theirs');
  await new Hub(setting.client, saved).create(id, 'other', signal);
  const modules = await setting.modules(device);
  assert.is((await failureOf(modules.create(id, 'iotedge', signal))).code, 'AlreadyExists');
  assert.equal(modules.list(), []);
});

test('deletes a module there and here', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  await device.provision({ again: false });
  const modules = await setting.modules(device);
  const id = parseModuleId('mine');
  await modules.create(id, 'iotedge', signal);
  await modules.delete(id, signal);
  assert.is(setting.cloud.registry.modules.get('device-1')?.size, 0);
  assert.is((await failureOf(modules.delete(id, signal))).code, 'NotFound');
});

test('reports a damaged file and never replaces it', async () => {
  await using setting = await Setting.start();
  const device = await setting.device();
  await device.provision({ again: false });
  const id = parseModuleId('mine');
  await (await setting.modules(device)).create(id, 'iotedge', signal);
  const file = join(setting.directory, 'modules', 'mine.json');
  await writeFile(file, '');
  const modules = await setting.modules(device);
  assert.is((await failureOf(modules.create(id, 'iotedge', signal))).code, 'Unavailable');
  assert.is((await readFile(file)).length, 0);
  assert.is(modules.damaged.size, 1);
});

test.run();
