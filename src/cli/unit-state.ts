import type { Bus } from '../dbus/bus.ts';
import { BusError } from '../dbus/bus.ts';
import { Variant } from '../dbus/wire/variant.ts';
import { isServiceError } from '../errors.ts';

const systemd = 'org.freedesktop.systemd1';
const timeoutMs = 5000;
const configurationStatus = 78;

/** systemd's state of the unit of a service; undefined without systemd on the bus, or without such a unit. */
export interface UnitState {
  /** `active`, `inactive`, `failed`, `activating` and so on. */
  readonly active: string;
  /** Why it is not running, `` after an orderly stop. */
  readonly problem: string;
}

/** Reads the state of a unit from systemd; nothing is started. */
export async function unitState(bus: Bus, unit: string): Promise<UnitState | undefined> {
  try {
    if ((await bus.nameOwner(systemd)) === undefined) return undefined;
    const [path] = await callSystemd(bus, '/org/freedesktop/systemd1', {
      interface: `${systemd}.Manager`,
      member: 'LoadUnit',
      signature: 's',
      body: [unit],
    });
    if (typeof path !== 'string') return undefined;
    return stateOf(
      await properties(bus, path, `${systemd}.Unit`),
      await properties(bus, path, `${systemd}.Service`),
      unit,
    );
  } catch (error) {
    // without a proper reply from systemd the service itself is called
    if (error instanceof BusError || isServiceError(error)) return undefined;
    throw error;
  }
}

async function properties(
  bus: Bus,
  path: string,
  name: string,
): Promise<ReadonlyMap<string, unknown>> {
  const [values] = await callSystemd(bus, path, {
    interface: 'org.freedesktop.DBus.Properties',
    member: 'GetAll',
    signature: 's',
    body: [name],
  });
  const entries = typeof values === 'object' && values !== null ? Object.entries(values) : [];
  return new Map(
    entries.map(([key, value]) => [key, value instanceof Variant ? value.value : value]),
  );
}

function callSystemd(
  bus: Bus,
  path: string,
  call: Pick<Parameters<Bus['call']>[0], 'interface' | 'member' | 'signature' | 'body'>,
): Promise<readonly unknown[]> {
  return bus.call({ destination: systemd, path, ...call }, { timeoutMs });
}

/** Summarizes the properties of a unit and of its process. */
export function stateOf(
  unit: ReadonlyMap<string, unknown>,
  service: ReadonlyMap<string, unknown>,
  name: string,
): UnitState | undefined {
  const [load, active, sub] = ['LoadState', 'ActiveState', 'SubState'].map((key) => unit.get(key));
  if (load === 'not-found' || typeof active !== 'string') return undefined;
  if (load !== 'loaded') return { active, problem: `unit ${name} is ${String(load)}` };
  const result = service.get('Result');
  const isOver = active === 'failed' || sub === 'auto-restart';
  if (!isOver || typeof result !== 'string') return { active, problem: '' };
  const status = service.get('ExecMainStatus');
  const hint =
    status === configurationStatus ? ", its configuration is wrong: 'iotedgectl config check'" : '';
  const shown = typeof status === 'number' && status !== 0 ? `${result}, status ${status}` : result;
  return { active, problem: `unit ${name} has failed (${shown})${hint}` };
}
