import type { Bus } from '../../../src/dbus/bus.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { untilFound } from '../deadline.ts';

/** What the properties of the Identity service say. */
export interface IdentityStatus {
  readonly state: string;
  readonly health: string;
  readonly lastError: string;
  readonly deviceId: string;
  /** Microseconds since the epoch, 0 for none. */
  readonly nextAttempt: bigint;
  /** Microseconds that the clock is behind the cloud's. */
  readonly clockSkew: bigint;
}

/** The properties as they are now. */
export async function identityStatus(bus: Bus): Promise<IdentityStatus> {
  const { busName: destination, path, manager } = identityService;
  const [properties] = await bus.call({
    destination,
    path,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'GetAll',
    signature: 's',
    body: [manager.name],
  });
  const values = new Map<string, unknown>(Object.entries(properties as object)); // an a{sv}
  const read = (name: string): unknown => {
    const value = values.get(name);
    return value instanceof Variant ? value.value : value;
  };
  return {
    state: String(read('State')),
    health: String(read('Health')),
    lastError: String(read('LastError')),
    deviceId: String(read('DeviceId')),
    nextAttempt: read('NextAttempt') as bigint, // a t
    clockSkew: read('ClockSkew') as bigint, // an x
  };
}

/** The status as soon as it fits. */
export async function untilIdentity(
  bus: Bus,
  what: string,
  fits: (status: IdentityStatus) => boolean,
): Promise<IdentityStatus> {
  let status = await identityStatus(bus);
  return untilFound(
    60_000,
    () => `${what}: ${status.state} ${status.lastError}`,
    async () => {
      status = await identityStatus(bus);
      return fits(status) ? status : undefined;
    },
  );
}
