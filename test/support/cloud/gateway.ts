import type { Cloud } from './cloud.ts';
import { Provisioning } from './provisioning.ts';

/** Makes a cloud double a gateway, which responds to requests as another one, with that one's name and state. */
export function passOn(gateway: Cloud, hub: Cloud): void {
  gateway.interfere = (request) =>
    Provisioning.serves(request.path)
      ? hub.provisioning.respond(request)
      : hub.registry.respond(request);
}
