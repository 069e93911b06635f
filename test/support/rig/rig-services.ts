import { chown, mkdir } from 'node:fs/promises';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { setpriv } from '../identity/identity.ts';
import { identityOf } from './rig-users.ts';

/** The four services by the names of their folders. */
export type ServiceName = 'keys' | 'certificates' | 'identity' | 'modules';

/** The four services. */
export const services: Readonly<Record<ServiceName, ServiceDefinition>> = {
  keys: keysService,
  certificates: certificatesService,
  identity: identityService,
  modules: modulesService,
};

/** Where the bundled programs are in the directory of a rig. */
export const bundles = 'checkout/dist/bin';

/**
 * The script that becomes the service: as its user, with nothing of its caller's environment and without any
 * privilege, as its unit would start it. It is given to `sh`, since nothing below /run may be executable itself.
 */
export function launcherText(
  directory: string,
  name: ServiceName,
  variables: Readonly<Record<string, string>>,
): string {
  const { user } = services[name];
  const environment = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    ...(name === 'keys' && { SOFTHSM2_CONF: `${directory}/token/softhsm2.conf` }),
    ...variables,
  };
  const words = Object.entries(environment).map(([key, value]) => `'${key}=${value}'`);
  return `exec </dev/null >>'${directory}/log/${name}.log' 2>&1
umask 0077
cd /
exec env -i ${words.join(' ')} \\
  ${setpriv(identityOf(user)).join(' ')} --inh-caps=-all --no-new-privs \\
  '${directory}/node' '${directory}/${bundles}/iotedge-${name}.cjs' \\
  --config-dir '${directory}/config' --state-dir '${directory}/state/${name}' "$@"
`;
}

/** A directory that its user alone can look into. */
export async function makeFor(user: string, directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  const { uid, gid } = identityOf(user);
  await chown(directory, uid, gid);
}
