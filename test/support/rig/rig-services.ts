import { chown, mkdir } from 'node:fs/promises';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { setpriv } from '../identity/identity.ts';
import { identityOf } from './rig-users.ts';

export type ServiceName = 'keys' | 'certificates' | 'identity' | 'modules';

export const services: Readonly<Record<ServiceName, ServiceDefinition>> = {
  keys: keysService,
  certificates: certificatesService,
  identity: identityService,
  modules: modulesService,
};

/** The directory of the bundled programs, in the directory of a rig. */
export const programs = 'checkout/dist/bin';

/** What every service has in its environment; nothing of the caller's. */
export const serviceEnvironment = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
} as const;

/** What the unit of each service adds to it. */
export const unitEnvironment: Readonly<Record<ServiceName, Readonly<Record<string, string>>>> = {
  keys: {},
  certificates: { MALLOC_ARENA_MAX: '1' },
  identity: { MALLOC_ARENA_MAX: '1' },
  modules: { MALLOC_ARENA_MAX: '1' },
};

/**
 * The script that executes the service as its unit would: as its user, without the caller's environment and without any
 * privilege. It is run by `sh`, since files below /run may not be executable.
 */
export function launcherText(
  directory: string,
  name: ServiceName,
  variables: Readonly<Record<string, string>>,
): string {
  const { user } = services[name];
  const environment = {
    ...serviceEnvironment,
    ...(name === 'modules' && { RUNTIME_DIRECTORY: `${directory}/runtime` }),
    ...unitEnvironment[name],
    ...(name === 'keys' && { SOFTHSM2_CONF: `${directory}/token/softhsm2.conf` }),
    ...variables,
  };
  const assignments = Object.entries(environment).map(([key, value]) => `'${key}=${value}'`);
  return `exec </dev/null >>'${directory}/log/${name}.log' 2>&1
umask 0077
cd /
exec env -i ${assignments.join(' ')} \\
  ${setpriv(identityOf(user)).join(' ')} --inh-caps=-all --no-new-privs \\
  '${directory}/node' '${directory}/${programs}/iotedge-${name}.cjs' \\
  --config-dir '${directory}/config' --state-dir '${directory}/state/${name}' "$@"
`;
}

/** Creates a directory that only its user can read. */
export async function makeFor(user: string, directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  const { uid, gid } = identityOf(user);
  await chown(directory, uid, gid);
}
