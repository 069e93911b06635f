import type { Bus } from '../dbus/bus.ts';
import { type Client, client } from '../dbus/client.ts';
import { certificatesInterface, certificatesService } from '../interfaces/certificates.ts';
import { identityInterface, identityService } from '../interfaces/identity.ts';
import { keysInterface, keysService } from '../interfaces/keys.ts';

/** The services that this one calls. */
export interface Clients {
  readonly keys: Client<typeof keysInterface>;
  readonly certificates: Client<typeof certificatesInterface>;
  readonly identity: Client<typeof identityInterface>;
}

/** Clients on a bus. Nothing is called, and nobody is started, before the first use. */
export function clientsOn(bus: Bus): Clients {
  return {
    keys: client(bus, keysService, keysInterface),
    certificates: client(bus, certificatesService, certificatesInterface),
    identity: client(bus, identityService, identityInterface),
  };
}
