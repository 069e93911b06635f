/** Provisioning with running services, while the cloud, the certificate or the token fails, and after. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { isServiceError } from '../../../src/errors.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { CachingClient } from '../../support/clients/caching-client.ts';
import type { Cloud, CloudOptions } from '../../support/cloud/cloud.ts';
import type { CloudResponse } from '../../support/cloud/exchange.ts';
import { until, untilFound } from '../../support/deadline.ts';
import { failureOf, untilWorks } from '../../support/failure.ts';
import { identityStatus, untilIdentity } from '../../support/identity/identity-status.ts';
import { ThrowAwayAuthority } from '../../support/polkit/throw-away-authority.ts';
import { Rig } from '../../support/rig/rig.ts';
import { startRigCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { certifyDevice, deviceCertificateFile } from '../../support/tls/device-certificate.ts';
import { HeldPort } from '../../support/tls/held-port.ts';

const patient = { timeoutMs: 60_000 };
const hourMs = 3_600_000;

/** A rig with a cloud whose root the Identity service reads from a file. */
class Setting implements AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly identity: Client<typeof identityInterface>;
  /** The port of the cloud: no other process uses it while the cloud is down. */
  readonly held: HeldPort;
  cloud: Cloud;

  private constructor(rig: Rig, bus: Bus, held: HeldPort, cloud: Cloud) {
    this.rig = rig;
    this.bus = bus;
    this.held = held;
    this.cloud = cloud;
    this.identity = client(bus, identityService, identityInterface);
  }

  static async start(options?: Partial<CloudOptions>): Promise<Setting> {
    const [rig, held] = [await Rig.start(), await HeldPort.hold()];
    const cloud = await startRigCloud(rig, { ...options, port: held.port });
    const setting = new Setting(rig, await rig.connect(), held, cloud);
    await writeFile(setting.rootFile, await rig.authority.certificate());
    await rig.configure('identity', {
      provisioning: { global_endpoint: setting.cloud.endpoint },
      cloud: { trusted_ca: setting.rootFile },
      idle_exit_s: 0,
    });
    return setting;
  }

  get rootFile(): string {
    return join(this.rig.directory, 'secrets', 'cloud-root.pem');
  }

  get stateFile(): string {
    return join(this.rig.stateDirectory('identity'), 'device.json');
  }

  registrations(): number {
    return this.cloud.requests.filter(({ method, url }) => method === 'PUT' && /register/.test(url))
      .length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.cloud[Symbol.asyncDispose]();
    await this.held[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

/** A failure: its cause, its repair, and the error that the device reports meanwhile. */
interface Mishap {
  readonly what: string;
  readonly happen: (setting: Setting) => Promise<void> | void;
  readonly mend: (setting: Setting) => Promise<void> | void;
  readonly causes: readonly RegExp[];
  /** Whether existing connections would hide it. */
  readonly onConnect?: boolean;
  /** The minimum Retry-After of the cloud. */
  readonly waitMs?: number;
}

function refusal(
  what: string,
  response: CloudResponse,
  causes: readonly RegExp[],
  waitMs = 0,
): Mishap {
  return {
    what,
    happen: ({ cloud }) => void (cloud.interfere = () => response),
    mend: ({ cloud }) => void (cloud.interfere = undefined),
    causes,
    waitMs,
  };
}

function outcome(of: 'failed' | 'disabled', causes: readonly RegExp[]): Mishap {
  return {
    what: `an enrollment that is ${of}`,
    happen: ({ cloud }) => void (cloud.provisioning.outcome = of),
    mend: ({ cloud }) => void (cloud.provisioning.outcome = 'assigned'),
    causes,
  };
}

function certificate(what: string, notBeforeMs: number, causes: readonly RegExp[]): Mishap {
  const valid = (rig: Rig, fromMs: number): Promise<void> => {
    const start = Math.floor((Date.now() + fromMs) / 1000) * 1000;
    return certifyDevice(rig, { notBefore: new Date(start), notAfter: new Date(start + hourMs) });
  };
  return {
    what,
    happen: ({ rig }) => valid(rig, notBeforeMs),
    mend: ({ rig }) => valid(rig, -60_000),
    causes,
  };
}

async function otherRoot({ rig, rootFile }: Setting): Promise<void> {
  const other = await ThrowAwayAuthority.create(join(rig.directory, 'other'));
  await writeFile(rootFile, await other.certificate());
}

async function writeRoot({ rig, rootFile }: Setting): Promise<void> {
  await writeFile(rootFile, await rig.authority.certificate());
}

/** Moves the content of the token's directory away, as if the token were unplugged. */
async function moveToken({ rig }: Setting, from: string, to: string): Promise<void> {
  await mkdir(join(rig.directory, to), { recursive: true });
  const entries = await readdir(join(rig.directory, from), { withFileTypes: true });
  for (const entry of entries.filter((one) => one.isDirectory())) {
    await rename(join(rig.directory, from, entry.name), join(rig.directory, to, entry.name));
  }
  await rig.stop('keys');
}

const unauthorized = { errorCode: 401002, trackingId: 'a-b-c', message: 'Unauthorized' };
const mishaps: readonly Mishap[] = [
  refusal('HTTP 401', { status: 401, body: unauthorized }, [
    /HTTP 401/,
    /Unauthorized/,
    /tracking id a-b-c/,
    /is the device enrolled/,
  ]),
  refusal(
    'HTTP 429 with Retry-After',
    { status: 429, headers: { 'retry-after': '1200' }, body: {} },
    [/HTTP 429/, /slow down/],
    1_200_000,
  ),
  refusal('HTTP 503', { status: 503 }, [/HTTP 503 \(the service is not available\)$/]),
  refusal(
    'an oversized response with control characters',
    { status: 400, body: { message: `a\0b\n${'x'.repeat(100_000)}`, errorCode: 'y'.repeat(5000) } },
    [/HTTP 400 \(a b x{100}/],
  ),
  outcome('failed', [/400207/, /no hub can take the device/]),
  outcome('disabled', [/the enrollment is disabled: enable it/]),
  {
    what: 'a server certificate of another root',
    onConnect: true,
    happen: otherRoot,
    mend: writeRoot,
    causes: [/localhost.*the certificate of the server does not verify/, /set cloud\.trusted_ca/],
  },
  {
    what: 'a missing root of the cloud',
    happen: ({ rootFile }) => rm(rootFile),
    mend: writeRoot,
    causes: [/cloud\.trusted_ca: ENOENT.*cloud-root\.pem/],
  },
  {
    what: 'a missing device certificate',
    happen: ({ rig }) => rm(deviceCertificateFile(rig)),
    mend: ({ rig }) =>
      certifyDevice(rig, { notBefore: new Date(), notAfter: new Date(Date.now() + hourMs) }),
    causes: [/certificate "device-id" cannot be used: .*ENOENT.*device-id\.cer/],
  },
  certificate('a device certificate that has expired', -2 * hourMs, [
    /certificate "device-id" expired at .* this clock says/,
  ]),
  certificate('a device certificate of the future', hourMs, [
    /certificate "device-id" is not valid before .* this clock says/,
  ]),
  {
    what: 'Keys without its token',
    onConnect: true,
    happen: (setting) => moveToken(setting, 'token', 'away'),
    mend: (setting) => moveToken(setting, 'away', 'token'),
    causes: [/device-id/, /the token of pkcs11:slot-id=0 is not initialized$/],
  },
  {
    what: 'an endpoint that is down',
    happen: ({ cloud }) => cloud[Symbol.asyncDispose](),
    mend: async (setting) => {
      setting.cloud = await startRigCloud(setting.rig, { port: setting.held.port });
    },
    causes: [/localhost/, /ECONNREFUSED/],
  },
];

const kept = suite<{ setting: Setting }>('a provisioned device');

kept.before(async (context) => {
  context.setting = await Setting.start();
  await context.setting.identity.Provision({}, patient);
});
kept.after(({ setting }) => setting[Symbol.asyncDispose]());

for (const { what, happen, mend, causes, onConnect = false, waitMs = 0 } of mishaps) {
  kept(
    `keeps its identity during ${what}, reports the cause, and recovers`,
    async ({ setting }) => {
      const { rig, bus, identity, stateFile } = setting;
      const saved = await readFile(stateFile, 'utf8');
      if (onConnect) await rig.stop('identity');
      await happen(setting);
      const calledAt = Date.now();
      assert.is(await failureOf(identity.Reprovision({}, patient)), 'Unavailable');
      const status = await identityStatus(bus);
      for (const words of causes) assert.match(status.lastError, words);
      assert.ok(status.lastError.length <= 1024);
      assert.not.match(status.lastError, /\p{C}/u);
      assert.is(status.state, 'provisioned');
      assert.is(status.health, 'degraded');
      assert.ok(
        status.nextAttempt >= BigInt(calledAt + waitMs) * 1000n,
        String(status.nextAttempt),
      );
      assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
      assert.is((await identity.Provision({})).device.device_id, deviceName);
      assert.is(await readFile(stateFile, 'utf8'), saved);
      await mend(setting);
      await untilWorks('Reprovision', () => identity.Reprovision({}, patient));
      const after = await identityStatus(bus);
      assert.equal([after.state, after.lastError, after.nextAttempt], ['provisioned', '', 0n]);
      assert.is.not(await readFile(stateFile, 'utf8'), saved);
    },
  );
}

kept.run();

const fresh = suite('a device without an identity');

fresh('provisions automatically, joins callers to one attempt, and saves the result', async () => {
  await using setting = await Setting.start({ assigningPolls: 1 });
  const { identity, rig } = setting;
  const calls = [1, 2, 3].map(() => identity.Provision({}, patient));
  const [first, ...others] = await Promise.all(calls);
  for (const other of others) assert.equal(other, first);
  assert.is(setting.registrations(), 1);
  const provisioned = /device provisioned .*(requestId=[0-9a-f-]{36})/;
  const requestId = await untilFound(10_000, 'the request in the log', async () => {
    return provisioned.exec(await rig.log('identity'))?.[1];
  });
  await until(10_000, 'the same request in the log of Keys', async () =>
    (await rig.log('keys')).includes(requestId),
  );
  await rig.stop('identity');
  assert.equal(await identity.Provision({}), first);
  assert.is(setting.registrations(), 1);
});

fresh('retries automatically, not before the published time', async () => {
  await using setting = await Setting.start();
  const { bus, cloud, identity } = setting;
  cloud.interfere = () => ({ status: 503 });
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  const { state, lastError, nextAttempt } = await identityStatus(bus);
  assert.is(state, 'failed');
  assert.match(lastError, /HTTP 503/);
  assert.is(await failureOf(identity.GetDeviceIdentity({})), 'NotProvisioned');
  let cameAt = 0;
  cloud.interfere = () => void (cameAt ||= Date.now());
  const status = await untilIdentity(bus, 'the next attempt', (now) => now.state === 'provisioned');
  assert.is(status.lastError, '');
  // timers and the clock of the machine differ by a few milliseconds
  assert.ok(BigInt(cameAt + 100) * 1000n >= nextAttempt, `${cameAt} is before ${nextAttempt}`);
});

fresh('sends no request before the Retry-After of the cloud, across a restart too', async () => {
  await using setting = await Setting.start();
  const { bus, cloud, identity, rig } = setting;
  cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' }, body: {} });
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  const before = await identityStatus(bus);
  cloud.interfere = undefined;
  const sentBefore = cloud.requests.length;
  assert.is(await failureOf(identity.Provision({})), 'Unavailable');
  assert.is(await failureOf(identity.Provision({ options: { wait: false } })), 'Unavailable');
  await rig.stop('identity');
  assert.equal(await identityStatus(bus), before);
  assert.is(before.state, 'failed');
  assert.match(before.lastError, /HTTP 429/);
  const error: unknown = await identity.Provision({}).catch((reason: unknown) => reason);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(error.message, /HTTP 429.*tried again at 2.*Z, by Reprovision at once/);
  assert.is(cloud.requests.length, sentBefore);
  const { device } = await identity.Reprovision({}, patient);
  assert.is(device.device_id, deviceName);
  await rig.stop('identity');
  assert.is((await identityStatus(bus)).lastError, '');
});

fresh('is provisioned at once when the clock was set back since the cloud refused', async () => {
  await using setting = await Setting.start();
  const { cloud, identity, rig } = setting;
  cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  cloud.interfere = undefined;
  await rig.stop('identity');
  const file = join(rig.stateDirectory('identity'), 'refusal.json');
  const refusal = await readFile(file, 'utf8');
  await writeFile(file, refusal.replace(/"notBefore":"\d{4}/, '"notBefore":"2199'));
  assert.is((await identity.Provision({}, patient)).device.device_id, deviceName);
});

fresh('ignores the Retry-After of the cloud for another registration', async () => {
  await using setting = await Setting.start();
  const { cloud, identity, rig } = setting;
  cloud.interfere = () => ({ status: 429, headers: { 'retry-after': '3000' } });
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  cloud.interfere = undefined;
  await rig.stop('identity');
  await rig.configure('identity', {
    provisioning: { global_endpoint: cloud.endpoint, registration_id: deviceName },
    cloud: { trusted_ca: setting.rootFile },
  });
  assert.is((await identity.Provision({}, patient)).device.device_id, deviceName);
});

fresh('is the same device whatever the case of its registration id', async () => {
  await using setting = await Setting.start();
  const { cloud, identity, rig } = setting;
  const configure = async (registrationId: string): Promise<void> => {
    await rig.configure('identity', {
      provisioning: { global_endpoint: cloud.endpoint, registration_id: registrationId },
      cloud: { trusted_ca: setting.rootFile },
    });
    await rig.stop('identity');
  };
  await configure(deviceName);
  const { device } = await identity.Provision({}, patient);
  const sentBefore = cloud.requests.length;
  await configure(deviceName.toUpperCase());
  assert.equal((await identity.Provision({}, patient)).device, device);
  assert.is(cloud.requests.length, sentBefore);
  assert.equal((await identity.Reprovision({}, patient)).device, device);
});

fresh('rejects every waiting call with Cancelled when it is cancelled', async () => {
  await using setting = await Setting.start();
  const { bus, cloud, identity } = setting;
  cloud.interfere = () => ({
    status: 202,
    headers: { 'retry-after': '60' },
    body: { operationId: 'x', status: 'assigning' },
  });
  const outcomes = [1, 2].map(() => failureOf(identity.Provision({}, patient)));
  await untilIdentity(bus, 'an attempt', (now) => now.state === 'provisioning');
  await identity.Cancel({ id: '' });
  assert.equal(await Promise.all(outcomes), ['Cancelled', 'Cancelled']);
  const { state, nextAttempt } = await identityStatus(bus);
  assert.equal([state, nextAttempt], ['failed', 0n]);
  assert.is(await failureOf(identity.Cancel({ id: '' })), 'NotFound');
});

fresh('trusts the roots of the system when the configuration names none', async () => {
  await using setting = await Setting.start();
  const { identity, rig } = setting;
  await rig.configure('identity', { provisioning: { global_endpoint: setting.cloud.endpoint } });
  assert.is(await failureOf(identity.Provision({}, patient)), 'Unavailable');
  const system = '/etc/ssl/certs/ca-certificates.crt';
  assert.is((await rig.run('mount', ['--bind', setting.rootFile, system])).code, 0);
  await untilWorks('Reprovision', () => identity.Reprovision({}, patient));
  assert.is((await identityStatus(setting.bus)).deviceId, deviceName);
});

fresh('reports a wrong clock for as long as the cloud has another time', async () => {
  await using setting = await Setting.start();
  const { bus, cloud, identity } = setting;
  for (const [skewMs, where] of [
    [hourMs, 'behind'],
    [-hourMs, 'ahead of'],
  ] as const) {
    cloud.clockSkewMs = skewMs;
    await identity.Reprovision({}, patient);
    const { health, lastError, clockSkew } = await identityStatus(bus);
    // the date of the response may be older by the duration of the request
    const offS = Number(clockSkew / 1_000_000n);
    assert.ok(Math.abs(offS - skewMs / 1000) <= 30, String(offS));
    assert.is(health, 'degraded');
    const problem = `this clock is ${Math.abs(offS)} s ${where} the cloud's: set it, or tokens are refused`;
    assert.is(lastError, problem);
  }
  cloud.clockSkewMs = 0;
  await identity.Reprovision({}, patient);
  const { health, lastError } = await identityStatus(bus);
  assert.equal([health, lastError], ['ok', '']);
});

fresh('announces the skew of the clock in whole seconds, and not each fluctuation', async () => {
  await using setting = await Setting.start();
  const { bus, cloud, identity } = setting;
  await identity.Provision({}, patient);
  const module = { module_id: 'mine' };
  await identity.CreateModuleIdentity(module);
  await using watcher = await CachingClient.start(bus, identityService);
  const { path } = identityService;
  const skew = (): number => Number(watcher.cached(path).get('ClockSkew')?.replaceAll('"', ''));
  const changes = (): number =>
    watcher.signals.filter((text) => text === `= ${path} ClockSkew`).length;
  assert.is(skew(), 0);
  for (const ms of [2600, -1400, 3900]) {
    cloud.clockSkewMs = ms;
    await identity.UpdateModuleIdentity(module);
  }
  assert.equal([changes(), skew()], [0, 0]);
  for (const ms of [60_400, 58_600, 62_000]) {
    cloud.clockSkewMs = ms;
    await identity.UpdateModuleIdentity(module);
  }
  assert.is(changes(), 1);
  assert.ok(Math.abs(skew() - 60_000_000) <= 3_000_000, String(skew()));
  assert.is(skew() % 1_000_000, 0);
  assert.equal(await watcher.errors(), []);
  cloud.clockSkewMs = 0;
  await identity.UpdateModuleIdentity(module);
  assert.is(changes(), 2);
  assert.equal(await watcher.errors(), []);
});

fresh.run();
