import type { Log } from '../../../service/log/log.ts';
import type { Route } from '../http/route.ts';
import {
  HubIdentities,
  type HubIdentitiesClient,
  type HubIdentitiesParts,
} from './hub-identities.ts';
import { identityRoutes } from './identity-routes.ts';
import { type SystemParts, systemBackend } from './system-backend.ts';
import { systemRoutes } from './system-routes.ts';

/** Sources of the responses about the device. */
export interface DeviceParts extends SystemParts {
  readonly services: SystemParts['services'] & { readonly identity: HubIdentitiesClient };
  readonly identities: HubIdentitiesParts['identities'];
  readonly log: Log;
}

/** The routes of the management API that are about the device rather than its modules. */
export function deviceRoutes(parts: DeviceParts): readonly Route[] {
  const identities = new HubIdentities({ ...parts, client: parts.services.identity });
  return [...identityRoutes(identities), ...systemRoutes(systemBackend(parts))];
}
