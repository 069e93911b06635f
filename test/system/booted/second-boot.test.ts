/** A device with a token is provisioned, and finds everything at a boot without a network. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { softhsmPath } from '../../support/keys/soft-token.ts';
import { ThrowAwayAuthority } from '../../support/polkit/throw-away-authority.ts';
import { startTestCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName, scopeId } from '../../support/rig/rig-config.ts';

const test = bootedSuite('second boot', 'machine');
const pin = '/run/credentials/iotedge-keys.service/iotedge-keys.pin';
const asKeys = ['setpriv', '--reuid=iotedge-keys', '--regid=iotedge-keys', '--groups=softhsm'];

async function configure(system: BootedSystem, endpoint: string, root: string): Promise<void> {
  const slot = `'pkcs11:token=gateway?pin-source=${pin}'`;
  const files = {
    'keys.yaml': `pkcs11_lib_path: ${softhsmPath}\npkcs11_base_slot: ${slot}\n`,
    'certificates.yaml': "certificates: {app: {method: local_ca, issuer: 'device-ca'}}\n",
    'identity.yaml': `
cloud: {trusted_ca: /etc/iotedge/cloud.pem}
provisioning:
  source: dps
  scope_id: '${scopeId}'
  global_endpoint: '${endpoint}'
  attestation: {method: x509, identity_cert: 'cert://device-id', identity_pk: 'key://device-id'}
`,
    'cloud.pem': root,
  };
  for (const [name, text] of Object.entries(files))
    await system.write(`/etc/iotedge/${name}`, text);
}

/** Makes a token of SoftHSM, as the drop-in for it says. */
async function createToken(system: BootedSystem): Promise<void> {
  const options = ['--free', '--label', 'gateway', '--pin', '4711', '--so-pin', '5678'];
  await system.output([...asKeys, '--', 'softhsm2-util', '--init-token', ...options]);
  await system.write('/etc/credstore/iotedge-keys.pin', '4711', '0600');
  const folder = '/etc/systemd/system/iotedge-keys.service.d';
  const dropIn = '/usr/share/doc/iotedge-dbus/drop-ins/keys-softhsm.conf';
  await system.output(`mkdir ${folder} && cp ${dropIn} ${folder}/ && systemctl daemon-reload`);
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(value as number[]);
}

async function publicKeyOf(system: BootedSystem, id: string): Promise<KeyObject> {
  const [spki] = await system.call('Keys', 'GetPublicKey', 'sa{sv}', id);
  return createPublicKey({ key: bytesOf(spki), format: 'der', type: 'spki' });
}

async function isSignedBy(system: BootedSystem, id: string, key: KeyObject): Promise<boolean> {
  const data = [1, 2, 3, 4];
  const args = [id, 'ecdsa-sha256', data.length, ...data];
  const [signature] = await system.call('Keys', 'Sign', 'ssaya{sv}', ...args);
  return verify('sha256', Buffer.from(data), key, bytesOf(signature));
}

/** A certificate for an application, which the device's CA issues on the device. */
async function issue(system: BootedSystem): Promise<string> {
  const request = await system.output(
    'openssl req -new -newkey rsa:2048 -nodes -subj /CN=app -keyout /dev/null 2>/dev/null',
  );
  const csr = [...Buffer.from(`${request}\n`)];
  const args = ['app', csr.length, ...csr];
  const [chain] = await system.call('Certificates', 'Issue', 'saya{sv}', ...args);
  return String(chain);
}

test('finds keys, certificates and the identity without a network', async (system) => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-authority-'));
  const authority = await ThrowAwayAuthority.create(join(directory, 'authority'));
  await using cloud = await startTestCloud(authority);
  await createToken(system);
  await configure(system, cloud.endpoint, await authority.certificate());
  const keys = new Map<string, KeyObject>();
  for (const [id, profile] of [
    ['device-id', 'client'],
    ['device-ca', 'device-ca'],
  ] as const) {
    await system.call('Keys', 'CreateKeyPair', 'sasasa{sv}', id, 1, 'ec-p256', 1, 'sign');
    const key = await publicKeyOf(system, id);
    keys.set(id, key);
    const certificate = Buffer.from(await authority.certify(deviceName, key, profile));
    const args = [id, certificate.length, ...certificate, 'pem'];
    await system.call('Certificates', 'ImportCertificate', 'saysa{sv}', ...args);
  }
  await system.call('Identity', 'Provision');
  const [identity] = await system.call('Identity', 'GetDeviceIdentity');
  await rm(directory, { recursive: true });

  await system.reboot();
  const [same] = await system.call('Identity', 'GetDeviceIdentity');
  assert.equal(same, identity);
  for (const [id, key] of keys) assert.ok(await isSignedBy(system, id, key), id);
  assert.match(await issue(system), /^-----BEGIN CERTIFICATE-----/);
});

test.run();
