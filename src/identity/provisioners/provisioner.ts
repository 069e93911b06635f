import type { Via } from '../../dbus/client/via.ts';
import type { attestations, provisioningSources } from '../../interfaces/words.ts';

/** Which device this is, and on which hub. */
export interface AssignedDevice {
  /** `host[:port]`. */
  readonly hubHostname: string;
  readonly deviceId: string;
}

/** What provisioning finds out. */
export interface Assignment extends AssignedDevice {
  /** What it was asked for with. */
  readonly registrationId: string;
}

/** A way to find out which device this is, and on which hub. */
export interface Provisioner {
  readonly source: (typeof provisioningSources)[number];
  readonly attestation: (typeof attestations)[number];
  /** Rejects with CloudError or another ServiceError. */
  provision(via: Via): Promise<Assignment>;
}
