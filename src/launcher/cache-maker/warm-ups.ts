import type { ServiceDefinition } from '../../dbus/definition.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { identityService } from '../../interfaces/identity.ts';
import { keysService } from '../../interfaces/keys.ts';
import { modulesService } from '../../interfaces/modules.ts';
import type { Call } from './answering-bus.ts';

/** What a program does before V8 is asked for its code. */
export interface WarmUp {
  readonly args: (directory: string) => readonly string[];
  /** The files of the configuration, by name. */
  readonly config?: (directory: string) => Readonly<Record<string, string>>;
  /** The calls after which it is stopped; without, it ends by itself. */
  readonly calls?: readonly Call[];
}

/** The usual first calls of a client: the properties, and a method. */
function calls({ path, manager }: ServiceDefinition, first: Partial<Call>): readonly Call[] {
  const properties = 'org.freedesktop.DBus.Properties';
  return [
    { path, interface: manager.name, member: 'Describe', ...first },
    { path, interface: properties, member: 'GetAll', signature: 's', body: [manager.name] },
  ];
}

function serving(definition: ServiceDefinition, first: Partial<Call> = {}): WarmUp {
  const args = (directory: string) => [
    `--config-dir=${directory}`,
    `--state-dir=${directory}/state`,
  ];
  return { args, calls: calls(definition, first) };
}

/** No engine is reached, and the sockets for modules are not the machine's. */
const modulesConfig = (directory: string) =>
  JSON.stringify({
    moby_runtime: { uri: `unix://${directory}/no-engine` },
    listen: {
      management_uri: `unix://${directory}/management`,
      workload_uri: `unix://${directory}/workload`,
    },
  });

/** Every program that has a cache. */
export const warmUps: ReadonlyMap<string, WarmUp> = new Map([
  [
    'iotedge-keys',
    serving(keysService, { member: 'GetPublicKey', signature: 's', body: ['device-id'] }),
  ],
  ['iotedge-certificates', serving(certificatesService)],
  ['iotedge-identity', serving(identityService)],
  [
    'iotedge-modules',
    {
      ...serving(modulesService),
      config: (directory: string) => ({ 'modules.yaml': modulesConfig(directory) }),
    },
  ],
  ['iotedgectl', { args: () => ['status'] }],
  ['iotedge-pkcs11', { args: () => [] }],
]);
