import type { Bus } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { childPath } from '../../dbus/path.ts';
import { Variant } from '../../dbus/wire/variant.ts';
import { isServiceError } from '../../errors.ts';
import { explainedFailure } from '../description.ts';
import { replyOrFailedStart } from '../systemd/failed-start.ts';

const replyMs = 60_000;

/** The properties of an object as they are now, times as numbers, as in Describe; undefined when the service has none of that id. */
export async function objectProperties(
  bus: Bus,
  service: ServiceDefinition,
  id: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { busName, path, child } = service;
  const get = {
    destination: busName,
    path: childPath(path, child.segment, id),
    interface: 'org.freedesktop.DBus.Properties',
    member: 'GetAll',
    signature: 's',
    body: [child.interface.name],
  };
  try {
    const call = bus.call(get, { timeoutMs: replyMs });
    const [values] = await replyOrFailedStart(bus, service, call);
    return plain(values);
  } catch (error) {
    if (isServiceError(error, 'UnknownObject')) return undefined;
    throw explainedFailure(service, error);
  }
}

function plain(values: unknown): Readonly<Record<string, unknown>> {
  const entries = typeof values === 'object' && values !== null ? Object.entries(values) : [];
  return Object.fromEntries(
    entries.map(([name, value]) => {
      const held: unknown = value instanceof Variant ? value.value : value;
      return [name, typeof held === 'bigint' ? Number(held) : held];
    }),
  );
}
