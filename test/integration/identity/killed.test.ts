/** Services that are killed during a call: its caller receives an error, and the next call works. */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { buildCsr } from '../../../src/x509/csr.ts';
import { parseName } from '../../../src/x509/name.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import { identityStatus } from '../../support/identity/identity-status.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import type { ServiceName } from '../../support/rig/rig-services.ts';
import { suspendProcess } from '../../support/suspend-process.ts';
import { makeKey } from '../../support/x509/openssl.ts';

const patient = { timeoutMs: 60_000 };
const test = suite<CloudDevice>('a service that is killed during a call');

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
});
test.after(async (context) => context[Symbol.asyncDispose]());

/** Monitors the bus until a method was called; disposing ends the monitor. */
class Watch implements Disposable {
  readonly #monitor: ChildProcess;
  #seen = '';

  private constructor(monitor: ChildProcess) {
    this.#monitor = monitor;
    monitor.stdout?.on('data', (chunk) => (this.#seen += String(chunk)));
    monitor.stderr?.on('data', (chunk) => (this.#seen += String(chunk)));
  }

  static async start(rig: Rig, member: string): Promise<Watch> {
    const match = `--match=type='method_call',member='${member}'`;
    const watch = new Watch(rig.spawn('busctl', [`--address=${rig.address}`, match, 'monitor']));
    await until(10_000, 'the monitor', () => watch.#seen.includes('Monitoring'));
    return watch;
  }

  called(member: string): Promise<void> {
    return until(30_000, member, () => this.#seen.includes(`Member=${member}`));
  }

  [Symbol.dispose](): void {
    this.#monitor.kill();
  }
}

async function pidOf(rig: Rig, service: ServiceName): Promise<number> {
  const pid = await rig.processOf(service);
  if (pid === undefined) throw new Error(`${service} does not run`);
  return pid;
}

async function issue(bus: Bus): Promise<string> {
  const key = makeKey('ec-p256');
  const signer = localSigner(key);
  const request = { subject: parseName('CN=x'), spki: spkiOf(key), extensions: [], signer };
  const certificates = client(bus, certificatesService, certificatesInterface);
  const csr = await buildCsr(request);
  const { chain_pem } = await certificates.Issue({ certificate_id: 'x', csr }, patient);
  return chain_pem;
}

for (const victim of ['keys', 'certificates'] as const) {
  test(`Issue fails when ${victim} is killed while it signs, and works again`, async ({
    rig,
    bus,
  }) => {
    await issue(bus); // both run, and are connected
    using watch = await Watch.start(rig, 'Sign');
    const keys = await pidOf(rig, 'keys');
    await suspendProcess(keys);
    const outcome = failureOf(issue(bus));
    await watch.called('Sign');
    process.kill(await pidOf(rig, victim), 'SIGKILL');
    const code = await deadline(30_000, outcome, 'the failure');
    assert.match(code, victim === 'keys' ? /^Unavailable$/ : /NoReply|Unavailable/);
    if (victim === 'certificates') process.kill(keys, 'SIGCONT');
    assert.match(await issue(bus), 'BEGIN CERTIFICATE');
  });
}

test('Provision fails when Keys is killed during the handshake, and works again', async ({
  rig,
  bus,
}) => {
  const identity = client(bus, identityService, identityInterface);
  await client(bus, keysService, keysInterface).GetPublicKey({ key_id: 'device-id' });
  await identityStatus(bus);
  await rig.stop('identity');
  using watch = await Watch.start(rig, 'Sign');
  const keys = await pidOf(rig, 'keys');
  await suspendProcess(keys);
  const outcome = failureOf(identity.Reprovision({}, patient));
  await watch.called('Sign');
  process.kill(keys, 'SIGKILL');
  assert.is(await deadline(60_000, outcome, 'the failure'), 'Unavailable');
  assert.is.not((await identityStatus(bus)).lastError, '');
  assert.is((await identity.Reprovision({}, patient)).device.device_id, deviceName);
  assert.is((await identityStatus(bus)).lastError, '');
});

test('Provision is cancelled when Identity is stopped while Keys hangs in the handshake', async ({
  rig,
  bus,
}) => {
  const identity = client(bus, identityService, identityInterface);
  await client(bus, keysService, keysInterface).GetPublicKey({ key_id: 'device-id' });
  await rig.stop('identity');
  await identityStatus(bus);
  using watch = await Watch.start(rig, 'Sign');
  const [keys, stopped] = [await pidOf(rig, 'keys'), await pidOf(rig, 'identity')];
  await suspendProcess(keys);
  try {
    const outcome = failureOf(identity.Reprovision({}, patient));
    await watch.called('Sign');
    process.kill(stopped, 'SIGTERM');
    // less than the half minute for which the handshake would wait for its signature
    await until(15_000, 'Identity to end', () => !existsSync(`/proc/${stopped}`));
    assert.is(await deadline(1000, outcome, 'the failure'), 'Unavailable');
  } finally {
    process.kill(keys, 'SIGCONT');
  }
  assert.is((await identity.Reprovision({}, patient)).device.device_id, deviceName);
});

test('Provision fails when Certificates is killed during a call to it, and works again', async ({
  rig,
  bus,
}) => {
  const identity = client(bus, identityService, identityInterface);
  await issue(bus);
  await identityStatus(bus);
  using watch = await Watch.start(rig, 'GetCertificate');
  const certificates = await pidOf(rig, 'certificates');
  await suspendProcess(certificates);
  const outcome = failureOf(identity.Reprovision({}, patient));
  await watch.called('GetCertificate');
  process.kill(certificates, 'SIGKILL');
  assert.is(await deadline(60_000, outcome, 'the failure'), 'Unavailable');
  assert.is((await identity.Reprovision({}, patient)).device.device_id, deviceName);
});

test('Provision fails when Identity is killed while the cloud decides, and works again', async ({
  rig,
  bus,
  cloud,
}) => {
  const identity = client(bus, identityService, identityInterface);
  let polled = 0;
  const body = { operationId: 'x', status: 'assigning' };
  cloud.interfere = () => {
    polled++;
    return { status: 202, headers: { 'retry-after': '60' }, body };
  };
  const outcome = failureOf(identity.Reprovision({}, patient));
  await until(30_000, 'a request', () => polled > 0);
  process.kill(await pidOf(rig, 'identity'), 'SIGKILL');
  assert.match(await deadline(30_000, outcome, 'the failure'), /NoReply|Unavailable/);
  cloud.interfere = undefined;
  assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
  assert.is((await identity.Reprovision({}, patient)).device.device_id, deviceName);
});

test('a module is complete after Identity was killed during its registration', async ({
  rig,
  bus,
  cloud,
}) => {
  const identity = client(bus, identityService, identityInterface);
  const module = { module_id: 'cut' };
  using watch = await Watch.start(rig, 'ExportKey');
  const keys = await pidOf(rig, 'keys');
  // the hub has the module, and Keys is about to be called for its keys
  cloud.interfere = ({ method, path }) => {
    if (method === 'PUT' && path[2] === 'modules') process.kill(keys, 'SIGSTOP');
    return undefined;
  };
  const outcome = failureOf(identity.CreateModuleIdentity(module, patient));
  await until(30_000, 'the hub', () => cloud.registry.modules.get(deviceName)?.has('cut') === true);
  process.kill(await pidOf(rig, 'identity'), 'SIGKILL');
  process.kill(keys, 'SIGCONT');
  cloud.interfere = undefined;
  assert.match(await deadline(30_000, outcome, 'the failure'), /NoReply|Unavailable/);
  const { identity: made } = await identity.CreateModuleIdentity(module, patient);
  const held = cloud.registry.modules.get(deviceName)?.get('cut');
  assert.is(made.generation_id, held?.generationId);
  // the hub has generated keys with the module: it accepts a token only when it received those of the service
  const { token } = await identity.CreateSasToken({ ...module, audience: '', lifetime_s: 0 });
  const resource = `${cloud.host}/devices/${deviceName}/modules/cut`;
  const key = Buffer.from(held?.keys.primaryKey ?? '', 'base64');
  assert.is(refusalOfSas(token, { resource, key, now: new Date() }), undefined);
  await watch.called('ExportKey');
});

test.run();
