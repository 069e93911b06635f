import type { Bus } from '../../../src/dbus/bus.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { untilFound } from '../deadline.ts';

/** The properties of the Identity service. */
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
  const values = new Map<string, unknown>(Object.entries(properties as object)); // type a{sv}
  const read = (name: string): unknown => {
    const value = values.get(name);
    return value instanceof Variant ? value.value : value;
  };
  return {
    state: String(read('State')),
    health: String(read('Health')),
    lastError: String(read('LastError')),
    deviceId: String(read('DeviceId')),
    nextAttempt: read('NextAttempt') as bigint, // type t
    clockSkew: read('ClockSkew') as bigint, // type x
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
