import type { Bus } from '../dbus/bus.ts';
import { BusError } from '../dbus/bus.ts';
import { Variant } from '../dbus/wire/variant.ts';
import { isServiceError } from '../errors.ts';

const systemd = 'org.freedesktop.systemd1';
const answerMs = 5000;
const configurationStatus = 78;

/** What systemd knows of the unit of a service; undefined where there is no systemd on the bus, or no such unit. */
export interface UnitState {
  /** `active`, `inactive`, `failed`, `activating` and so on. */
  readonly active: string;
  /** Why it does not run, `` when it was stopped in order. */
  readonly problem: string;
}

/** Asks systemd about a unit; nothing is started. */
export async function unitState(bus: Bus, unit: string): Promise<UnitState | undefined> {
  try {
    if ((await bus.nameOwner(systemd)) === undefined) return undefined;
    const [path] = await ask(bus, '/org/freedesktop/systemd1', {
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
    // what does not answer as systemd does is not asked: the service itself will say
    if (error instanceof BusError || isServiceError(error)) return undefined;
    throw error;
  }
}

async function properties(
  bus: Bus,
  path: string,
  name: string,
): Promise<ReadonlyMap<string, unknown>> {
  const [values] = await ask(bus, path, {
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

function ask(
  bus: Bus,
  path: string,
  call: Pick<Parameters<Bus['call']>[0], 'interface' | 'member' | 'signature' | 'body'>,
): Promise<readonly unknown[]> {
  return bus.call({ destination: systemd, path, ...call }, { timeoutMs: answerMs });
}

/** What the properties of a unit and of its process come to. */
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
