import type { Via } from '../../dbus/client/via.ts';
import type { attestations, provisioningSources } from '../../interfaces/enumerations.ts';

/** The identity of the device and its hub. */
export interface AssignedDevice {
  /** `host[:port]`. */
  readonly hubHostname: string;
  readonly deviceId: string;
}

/** The result of provisioning. */
export interface Assignment extends AssignedDevice {
  /** The registration id of the request. */
  readonly registrationId: string;
  /** When the certificate that came with it is to be renewed, ISO 8601; undefined without one. */
  readonly renewAt?: string;
}

/** A way to obtain the identity of the device and its hub. */
export interface Provisioner {
  readonly source: (typeof provisioningSources)[number];
  readonly attestation: (typeof attestations)[number];
  /** Rejects with CloudError or another ServiceError. */
  provision(via: Via): Promise<Assignment>;
}
