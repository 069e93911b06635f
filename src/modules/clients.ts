import type { Bus } from '../dbus/bus.ts';
import { type ServiceClient, serviceClient } from '../dbus/client/client.ts';
import { certificatesInterface, certificatesService } from '../interfaces/certificates.ts';
import { identityInterface, identityService } from '../interfaces/identity.ts';
import { keysInterface, keysService } from '../interfaces/keys.ts';
import { modulesInterface, modulesService } from '../interfaces/modules.ts';

/** The services that this one calls. */
export interface Clients {
  readonly keys: ServiceClient<typeof keysInterface>;
  readonly certificates: ServiceClient<typeof certificatesInterface>;
  readonly identity: ServiceClient<typeof identityInterface>;
  /** This service: a support bundle describes it as it does the others. */
  readonly modules: ServiceClient<typeof modulesInterface>;
}

/** Clients on a bus. No service is called or activated before the first use. */
export function clientsOn(bus: Bus): Clients {
  return {
    keys: serviceClient(bus, keysService, keysInterface),
    certificates: serviceClient(bus, certificatesService, certificatesInterface),
    identity: serviceClient(bus, identityService, identityInterface),
    modules: serviceClient(bus, modulesService, modulesInterface),
  };
}
