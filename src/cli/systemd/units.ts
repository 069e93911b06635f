import type { ServiceDefinition } from '../../dbus/definition.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { identityService } from '../../interfaces/identity.ts';
import { keysService } from '../../interfaces/keys.ts';
import { modulesService } from '../../interfaces/modules.ts';
import { quoted } from '../../quoted.ts';
import { UsageError } from '../command.ts';

/** The four services, each before those that call it. */
export const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];

/** The one service that is not activated on demand. */
export const alwaysRuns = modulesService.name;

/** The unit of a service. */
export function serviceUnit({ name }: Pick<ServiceDefinition, 'name'>): string {
  return `iotedge-${name}.service`;
}

/** The APIs of the Module Runtime that have a socket unit. */
export const socketApis = ['management', 'workload'] as const;

/** The socket unit of an API. */
export function socketUnit(api: (typeof socketApis)[number]): string {
  return `iotedge-modules-${api}.socket`;
}

/** The units that start services in time for what is due. */
export const timerUnits: readonly string[] = [
  'iotedge-certificates.timer',
  'iotedge-identity.timer',
];

/**
 * The services that a command line names, as `keys`, `iotedge-keys` or `iotedge-keys.service`, in the order of
 * `services`; all when it names none. Throws UsageError for another name.
 */
export function namedServices(names: readonly string[]): readonly ServiceDefinition[] {
  const known = services.map(({ name }) => name);
  const wanted = names.map((name) => name.replace(/^iotedge-/, '').replace(/\.service$/, ''));
  for (const [at, name] of wanted.entries()) {
    if (known.includes(name)) continue;
    throw new UsageError(`no service ${quoted(names[at] ?? '')}, there is: ${known.join(', ')}`);
  }
  return services.filter(({ name }) => names.length === 0 || wanted.includes(name));
}
