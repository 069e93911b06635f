/** A booted system as a device that provisions itself with keys in a token, and runs an agent in a container. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { agentImage, loadAgent } from '../../demo/agent.ts';
import { outputOf } from '../command.ts';
import { until } from '../deadline.ts';
import { softhsmPath } from '../keys/soft-token.ts';
import { deviceName, scopeId } from '../rig/rig-config.ts';
import type { BootedCloud } from './booted-cloud.ts';
import type { BootedSystem } from './booted-system.ts';

const pin = '/run/credentials/iotedge-keys.service/iotedge-keys.pin';
const asKeys = ['setpriv', '--reuid=iotedge-keys', '--regid=iotedge-keys', '--groups=softhsm'];

const configuration = (endpoint: string) => ({
  keys: `
pkcs11_lib_path: '${softhsmPath}'
pkcs11_base_slot: 'pkcs11:token=gateway?pin-source=${pin}'
`,
  certificates: `
'preloaded_cert:trusted-ca': '/etc/iotedge/root.pem'
certificates: {app: {method: local_ca, issuer: 'device-ca'}}
`,
  identity: `
cloud: {trusted_ca: '/etc/iotedge/root.pem'}
provisioning:
  source: 'dps'
  scope_id: '${scopeId}'
  global_endpoint: '${endpoint}'
  attestation: {method: x509, identity_cert: 'cert://device-id', identity_pk: 'key://device-id'}
`,
  modules: `
certificates:
  device_ca_cert: 'cert://device-ca'
  device_ca_pk: 'key://device-ca'
  trusted_ca_certs: 'cert://trusted-ca'
agent: {name: 'edgeAgent', type: 'docker', config: {image: '${agentImage}'}}
hostname: '${deviceName}.local'
`,
});

async function configure(system: BootedSystem, cloud: BootedCloud): Promise<void> {
  await system.write('/etc/iotedge/root.pem', await cloud.authority.certificate());
  for (const [name, text] of Object.entries(configuration(cloud.endpoint)))
    await system.write(`/etc/iotedge/${name}.yaml`, text);
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

/** The bytes of an `ay` in busctl's JSON. */
export function bytesOf(value: unknown): Buffer {
  return Buffer.from(value as number[]);
}

/** Creates a key pair in the token and imports a certificate for it. */
async function enroll(
  system: BootedSystem,
  { authority }: BootedCloud,
  [id, profile]: readonly [string, 'client' | 'device-ca'],
): Promise<KeyObject> {
  await system.call('Keys', 'CreateKeyPair', 'sasasa{sv}', id, 1, 'ec-p256', 1, 'sign');
  const [spki] = await system.call('Keys', 'GetPublicKey', 'sa{sv}', id);
  const key = createPublicKey({ key: bytesOf(spki), format: 'der', type: 'spki' });
  const certificate = Buffer.from(await authority.certify(deviceName, key, profile));
  const args = [id, certificate.length, ...certificate, 'pem'];
  await system.call('Certificates', 'ImportCertificate', 'saysa{sv}', ...args);
  return key;
}

/** A command of the docker client of this machine for the engine of the system. */
export async function docker(system: BootedSystem, ...args: readonly string[]): Promise<string> {
  const host = ['-H', `unix://${system.path('/run/docker.sock')}`];
  return (await outputOf('docker', [...host, ...args])).toString();
}

async function startEngine(system: BootedSystem): Promise<void> {
  const units = 'containerd.service docker.socket docker.service';
  await system.output(`systemctl unmask ${units} && systemctl start docker.service`);
  await loadAgent({ docker: (...args) => docker(system, ...args) });
  await system.output(['systemctl', 'enable', 'iotedge-modules.service']);
}

/** Boots again, and waits until the agent has started meanwhile, and has got what it asked for. */
export async function rebootUntilAgentIsWell(system: BootedSystem): Promise<void> {
  const since = String(Date.now() / 1000);
  await system.reboot();
  let log = '';
  const what = () => `the agent: ${log}`;
  await until(90_000, what, async () => {
    log = await docker(system, 'logs', '--since', since, 'edgeAgent').catch(String);
    return /^all is well$/m.test(log);
  });
}

/** Installs the device: token, keys, certificates, configuration and engine. Returns the public keys by their id. */
export async function prepareDevice(
  system: BootedSystem,
  cloud: BootedCloud,
): Promise<ReadonlyMap<string, KeyObject>> {
  await createToken(system);
  await configure(system, cloud);
  const keys = new Map<string, KeyObject>();
  for (const each of [
    ['device-id', 'client'],
    ['device-ca', 'device-ca'],
  ] as const)
    keys.set(each[0], await enroll(system, cloud, each));
  await startEngine(system);
  return keys;
}
