import type { ServiceDefinition } from '../../dbus/definition.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { identityService } from '../../interfaces/identity.ts';
import { modulesService } from '../../interfaces/modules.ts';
import type { Call } from './answering-bus.ts';

/** What a program does before V8 is asked for its code. */
export interface WarmUp {
  /** Nothing: all of its functions are compiled. */
  readonly compilesAll?: true;
  readonly args: (directory: string) => readonly string[];
  /** The files of the configuration, by name. */
  readonly config?: (directory: string) => Readonly<Record<string, string>>;
  /** The calls after which it is stopped; without, it ends by itself. */
  readonly calls?: readonly Call[];
}

/** The usual first calls of a client: the properties, and a method. */
function calls({ path, manager }: ServiceDefinition): readonly Call[] {
  const properties = 'org.freedesktop.DBus.Properties';
  return [
    { path, interface: manager.name, member: 'Describe', signature: 'a{sv}', body: [{}] },
    { path, interface: properties, member: 'GetAll', signature: 's', body: [manager.name] },
  ];
}

function serving(definition: ServiceDefinition): WarmUp {
  return {
    args: (directory) => [`--config-dir=${directory}`, `--state-dir=${directory}/state`],
    calls: calls(definition),
  };
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

const whole: WarmUp = { compilesAll: true, args: () => [] };

/**
 * Every program that has a cache. With the functions that run at a start it takes the least memory; all of them are
 * compiled where a start takes a token, which this machine may not have.
 */
export const warmUps: ReadonlyMap<string, WarmUp> = new Map([
  ['iotedge-keys', whole],
  ['iotedge-pkcs11', whole],
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
]);
