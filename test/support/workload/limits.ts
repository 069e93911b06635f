import {
  type ConnectionLimits,
  connectionLimits,
} from '../../../src/modules/api/http/connections.ts';
import { SharedConnections } from '../../../src/modules/api/http/shared-connections.ts';

/** The limits of the product for a socket that shares them with no other; some may differ. */
export function ownLimits(other: Partial<ConnectionLimits> = {}): ConnectionLimits {
  return { ...connectionLimits, shared: new SharedConnections(), ...other };
}
