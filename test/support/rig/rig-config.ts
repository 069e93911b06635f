import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { softhsmLibrary, tokenPin } from '../keys/softhsm.ts';
import { rigUsers } from './rig-users.ts';

/** Settings that override those of the rig, in a drop-in of each service. */
export type Settings = Readonly<
  Partial<Record<'keys' | 'certificates' | 'identity' | 'modules', object>>
>;

/** The registration id of the device, which is also its id on the hub. */
export const deviceName = 'edge-device-1';

/** The configured id scope. */
export const scopeId = '0ne00000001';

const keys = () => `# keys.yaml
pkcs11_lib_path: '${softhsmLibrary()}'
pkcs11_base_slot: 'pkcs11:slot-id=0?pin-value=${tokenPin}'

'preloaded_key:device-id': 'pkcs11:slot-id=0;object=device%20id?pin-value=${tokenPin}'
'preloaded_key:device-ca': 'pkcs11:slot-id=0;object=device%20ca?pin-value=${tokenPin}'
`;

const certificates = (directory: string) => `# certificates.yaml
homedir_path: '${directory}/state/certificates'

'preloaded_cert:device-id': '${directory}/secrets/device-id.cer'
'preloaded_cert:device-ca': '${directory}/secrets/device-ca.cer'
'preloaded_cert:trusted-ca': '${directory}/secrets/trusted-ca.cer'
`;

const identity = `# identity.yaml
provisioning:
  source: 'dps'
  scope_id: '${scopeId}'
  attestation:
    method: 'x509'
    identity_cert: 'cert://device-id'
    identity_pk: 'key://device-id'
`;

const modules = (directory: string) => `# modules.yaml
certificates:
  device_ca_cert: 'cert://device-ca'
  device_ca_pk: 'key://device-ca'
  trusted_ca_certs: 'cert://trusted-ca'

agent:
  name: 'edgeAgent'
  type: 'docker'
  config:
    image: 'localhost/edge-agent:1'

hostname: '${deviceName}.local'

connect:
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock'
  workload_uri: 'unix:///var/lib/iotedge/workload.sock'

listen:
  management_uri: 'unix://${directory}/state/modules/mgmt.sock'
  workload_uri: 'unix://${directory}/state/modules/workload.sock'

homedir: '${directory}/state/modules'

moby_runtime:
  uri: 'unix://${directory}/engine/docker.sock'
`;

/** Writes the four files in the form that users already have, and `settings` as drop-ins. */
export async function writeConfiguration(directory: string, settings: Settings): Promise<void> {
  const texts = {
    keys: keys(),
    certificates: certificates(directory),
    identity,
    modules: modules(directory),
  };
  const folder = join(directory, 'config');
  await mkdir(folder);
  for (const [name, text] of Object.entries(texts))
    await writeFile(join(folder, `${name}.yaml`), text);
  for (const [name, object] of Object.entries(settings)) await writeDropIn(directory, name, object);
  await protect(join(folder, 'keys.yaml'));
}

/** Overrides settings of a service, effective at its next start. */
export async function writeDropIn(
  directory: string,
  service: string,
  settings: object,
): Promise<void> {
  const folder = join(directory, 'config', `${service}.d`);
  await mkdir(folder, { recursive: true });
  const file = join(folder, '50-rig.yaml');
  await writeFile(file, `${JSON.stringify(settings, undefined, 2)}\n`); // JSON is YAML
  if (service === 'keys') await protect(file);
}

/** Makes a file that may contain a PIN readable by the Keys service alone. */
async function protect(file: string): Promise<void> {
  await chown(file, 0, rigUsers['iotedge-keys']);
  await chmod(file, 0o640);
}
