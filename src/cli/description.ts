import { type Bus, BusError, hasNoOwner, type MethodCall } from '../dbus/bus.ts';
import type { ServiceDefinition } from '../dbus/definition.ts';
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import { replyOrFailedStart } from './systemd/failed-start.ts';

/** The reply of a service's `Describe`. */
export interface Description {
  readonly version: string;
  readonly health: string;
  readonly lastError: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly objects: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** The whole reply, for `--json`. */
  readonly whole: unknown;
}

const configurationStatus = /exited with status 78\b/;

/** Calls `Describe` on a service, which starts it when it is not running. */
export async function describeService(bus: Bus, service: ServiceDefinition): Promise<Description> {
  const call = bus.call(describe(service));
  const reply = await replyOrFailedStart(bus, service, call).catch((error: unknown) => {
    throw explainedFailure(service, error);
  });
  return parseDescription(service, reply);
}

/** Calls `Describe` on a service; undefined when it is not running. */
export async function describeRunning(
  bus: Bus,
  service: ServiceDefinition,
): Promise<Description | undefined> {
  try {
    const reply = await bus.call({ ...describe(service), noAutoStart: true });
    return parseDescription(service, reply);
  } catch (error) {
    // one bus reports a name without owner, another an unknown one
    if (hasNoOwner(error) || isUnknownService(error)) return undefined;
    throw error;
  }
}

function describe({ busName, path, manager }: ServiceDefinition): MethodCall {
  return {
    destination: busName,
    path,
    interface: manager.name,
    member: 'Describe',
    signature: 'a{sv}',
    body: [{}],
  };
}

function isUnknownService(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof BusError && cause.errorName.endsWith('.ServiceUnknown');
}

/** The failure of a call to a service; where the bus has no such name, or it refuses its configuration, what that means. */
export function explainedFailure(service: ServiceDefinition, error: unknown): unknown {
  if (isUnknownService(error)) return notInstalled(service);
  const reason = describeError(error);
  if (!isServiceError(error, 'Unavailable') || !configurationStatus.test(reason)) return error;
  const text = `${reason}: its configuration is wrong, see 'iotedgectl config check'`;
  return new ServiceError('Unavailable', text, { cause: error.cause });
}

function notInstalled({ busName, name }: ServiceDefinition): ServiceError {
  const problem = `no ${busName} on this bus: is the ${name} service installed?`;
  return new ServiceError('Unavailable', problem);
}

function parseDescription(service: ServiceDefinition, [json]: readonly unknown[]): Description {
  const whole = parseJson(typeof json === 'string' ? json : '');
  if (!isRecord(whole)) {
    throw new ServiceError('Failed', `${service.busName} described itself in no form known here`);
  }
  const objects: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const [id, object] of Object.entries(isRecord(whole['objects']) ? whole['objects'] : {})) {
    if (isRecord(object)) objects[id] = object;
  }
  return {
    version: textOf(whole['version']),
    health: textOf(whole['health']),
    lastError: textOf(whole['last_error']),
    properties: isRecord(whole['properties']) ? whole['properties'] : {},
    objects,
    whole,
  };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined; // the caller reports anything that is not a record
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A property as text for a cell; a missing one is ``. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? value.map(textOf).join(',') : '';
}

/** A time property in microseconds, 0 for anything that is none. */
export function timeOf(value: unknown): number {
  const time = Number(textOf(value));
  return Number.isFinite(time) ? time : 0;
}
