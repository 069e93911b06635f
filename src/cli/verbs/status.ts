import { type Bus, BusError } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { describeError, isServiceError } from '../../errors.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { certificateView } from '../certificates/certificate-view.ts';
import { type Concern, concernsOf } from '../certificates/concern.ts';
import { type Unreloaded, unreloadedServers } from '../certificates/unreloaded.ts';
import { type Command, exitCodes } from '../command.ts';
import { type Description, describeRunning, describeService } from '../description.ts';
import { formatJson, formatTable, printable } from '../output.ts';
import { type UnitState, unitState } from '../systemd/unit-state.ts';
import { alwaysRuns, services, serviceUnit } from '../systemd/units.ts';

/** What is shown of a service. */
export interface ServiceStatus {
  readonly service: string;
  /** `idle` is stopped until the next call activates it; `absent` is unknown to the bus. */
  readonly state: 'running' | 'idle' | 'absent' | 'failing';
  readonly health: string;
  readonly version: string;
  readonly detail: string;
  /** Certificates that are stuck or expire soon, of the service that has any, and servers that use former ones. */
  readonly concerns?: readonly {
    readonly id: string;
    readonly kind: Concern['kind'] | 'unreloaded';
    readonly text: string;
  }[];
}

/** `iotedgectl status`: one line per service. A service whose state systemd knows is not started unless requested. */
export const status: Command = {
  words: 'status',
  summary: 'the four services at a glance',
  about: `The exit code is 0 when all is well, 4 when a service is missing or fails, and 6 when one is degraded or a
certificate is listed below them: not issued, stuck, expired, or to expire soon.`,
  options: {
    start: {
      type: 'boolean',
      help: 'start the services that are idle, also where systemd knows of them',
    },
  },
  async run({ bus, options, print }) {
    const connection = await bus();
    const start = options['start'] === true;
    const found = await Promise.all(
      services.map((service) => statusOf(connection, service, start)),
    );
    const late = await unreloadedServers(new Date());
    const all = found.map((one) => (one.service === 'certificates' ? withLate(one, late) : one));
    if (options['json'] === true) print(formatJson(all));
    else printStatus(all, print);
    return exitCodeOf(all);
  },
};

/** Servers that still use a former certificate are a concern about it. */
export function withLate(status: ServiceStatus, late: readonly Unreloaded[]): ServiceStatus {
  if (late.length === 0) return status;
  const more = late.map((one) => ({ kind: 'unreloaded' as const, ...one }));
  return { ...status, health: 'degraded', concerns: [...(status.concerns ?? []), ...more] };
}

function printStatus(found: readonly ServiceStatus[], print: (text: string) => void): void {
  print(formatTable(['SERVICE', 'STATE', 'HEALTH', 'VERSION', 'DETAIL'], found.map(rowOf)));
  const concerns = found.flatMap((one) => one.concerns ?? []);
  if (concerns.length > 0) print('');
  for (const { id, text } of concerns) print(printable(`certificate ${id}: ${text}`));
}

async function statusOf(
  bus: Bus,
  service: ServiceDefinition,
  start: boolean,
): Promise<ServiceStatus> {
  const none = { service: service.name, health: '', version: '' };
  try {
    const running = await describeRunning(bus, service);
    if (running !== undefined) return described(service, running);
    const unit = await unitState(bus, serviceUnit(service));
    if (unit !== undefined && !start) return { ...none, ...resting(service, unit) };
    if (!(await isActivatable(bus, service.busName))) {
      return { ...none, state: 'absent', detail: `no ${service.busName} on this bus` };
    }
    return described(service, await describeService(bus, service));
  } catch (error) {
    // a failure of one service must not hide the others
    if (!isServiceError(error) && !(error instanceof BusError)) throw error;
    return { ...none, state: 'failing', detail: describeError(error) };
  }
}

/** The state of a stopped service, from systemd. */
function resting(
  { name }: ServiceDefinition,
  { active, problem }: UnitState,
): Pick<ServiceStatus, 'state' | 'detail'> {
  if (problem !== '') return { state: 'failing', detail: problem };
  if (name !== alwaysRuns) return { state: 'idle', detail: 'starts when it is called' };
  return { state: 'failing', detail: `it does not run: its unit is ${active}` };
}

function described(
  service: ServiceDefinition,
  { objects, health, version, lastError }: Description,
): ServiceStatus {
  const count = Object.keys(objects).length;
  return {
    service: service.name,
    state: 'running',
    health,
    version,
    detail: lastError || `${count} ${service.child.segment}${count === 1 ? '' : 's'}`,
    ...(service === certificatesService && { concerns: concernsAbout(objects) }),
  };
}

function concernsAbout(objects: Description['objects']): ServiceStatus['concerns'] & object {
  const all = Object.entries(objects).map(([id, object]) => certificateView(id, object));
  return concernsOf(all, new Date()).map(({ id, kind, text }) => ({ id, kind, text }));
}

async function isActivatable(bus: Bus, name: string): Promise<boolean> {
  const [names] = await bus.call({
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member: 'ListActivatableNames',
  });
  return Array.isArray(names) && names.includes(name);
}

function rowOf({ service, state, health, version, detail }: ServiceStatus): readonly string[] {
  return [service, state, health || '-', version || '-', detail];
}

function exitCodeOf(found: readonly ServiceStatus[]): number {
  if (found.some(({ state }) => state === 'absent' || state === 'failing'))
    return exitCodes.unavailable;
  const isDegraded = found.some(
    ({ health, concerns = [] }) => health === 'degraded' || concerns.length > 0,
  );
  if (isDegraded) return exitCodes.degraded;
  return exitCodes.ok;
}
