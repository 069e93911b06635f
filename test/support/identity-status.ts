import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../src/dbus/bus.ts';
import { Variant } from '../../src/dbus/variant.ts';
import { identityService } from '../../src/interfaces/identity.ts';

/** What the properties of the Identity service say. */
export interface IdentityStatus {
  readonly state: string;
  readonly health: string;
  readonly lastError: string;
  readonly deviceId: string;
  /** Microseconds since the epoch, 0 for none. */
  readonly nextAttempt: bigint;
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
  };
}

/** Waits until the properties are so. */
export async function untilIdentity(
  bus: Bus,
  what: string,
  so: (status: IdentityStatus) => boolean,
): Promise<IdentityStatus> {
  const end = Date.now() + 60_000;
  for (;;) {
    const status = await identityStatus(bus);
    if (so(status)) return status;
    if (Date.now() > end)
      throw new Error(`waited for ${what}: ${status.state} ${status.lastError}`);
    await sleep(50);
  }
}
