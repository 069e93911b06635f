import type { InterfaceDefinition, ServiceDefinition } from '../../dbus/definition.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { identityService } from '../../interfaces/identity.ts';
import { keysService } from '../../interfaces/keys.ts';
import { modulesService } from '../../interfaces/modules.ts';
import { apiReference, type Rules } from './api-reference.ts';
import { busActivation } from './bus-activation.ts';
import { busPolicy } from './bus-policy.ts';
import { documentationOf, type InterfaceDocumentation } from './interface-documentation.ts';
import { polkitActions } from './polkit-actions.ts';

const services: readonly ServiceDefinition[] = [
  keysService,
  certificatesService,
  identityService,
  modulesService,
];

/** Input that the generators cannot import: introspection, rules, and configuration schemas by service. */
export interface Sources {
  readonly introspect: (
    definition: InterfaceDefinition,
    documentation: InterfaceDocumentation,
  ) => string;
  readonly rules: Rules;
  readonly schemas: Readonly<Record<string, object>>;
}

/** Folders that contain only derived files. */
export const derivedFolders = ['dbus-policy/interfaces', 'docs/api', 'config-examples/schema'];

/** All derived files of the repository by path, as `npm run generate` writes them. */
export function derivedFiles({ introspect, rules, schemas }: Sources): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const service of services) {
    for (const definition of [service.manager, service.child.interface]) {
      files.set(
        `dbus-policy/interfaces/${definition.name}.xml`,
        introspect(definition, documentationOf(definition)),
      );
    }
    files.set(`dbus-policy/${service.busName}.conf`, busPolicy(service));
    files.set(`dbus-policy/${service.busName}.service`, busActivation(service));
    files.set(`dbus-policy/${service.busName.toLowerCase()}.policy`, polkitActions(service));
    files.set(`docs/api/${service.busName}.md`, apiReference(service, rules));
  }
  for (const [name, schema] of Object.entries(schemas)) {
    files.set(`config-examples/schema/${name}.json`, `${JSON.stringify(schema, undefined, 2)}\n`);
  }
  return files;
}
