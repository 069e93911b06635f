import type { Bus } from '../../dbus/bus.ts';
import { BusError } from '../../dbus/bus.ts';
import { isServiceError } from '../../errors.ts';
import { lastRecord } from './last-record.ts';
import { type Properties, Systemd } from './manager.ts';

const configurationStatus = 78;

/** systemd's state of the unit of a service; undefined without systemd on the bus, or without such a unit. */
export interface UnitState {
  /** `active`, `inactive`, `failed`, `activating` and so on. */
  readonly active: string;
  /** Whether a job of systemd, such as a start, waits or runs. */
  readonly isQueued: boolean;
  /** Why it is not running, `` after an orderly stop. */
  readonly problem: string;
}

/** Reads the state of a unit from systemd; nothing is started. */
export async function unitState(bus: Bus, unit: string): Promise<UnitState | undefined> {
  try {
    const systemd = await Systemd.find(bus);
    return systemd && (await explainedState(await systemd.unit(unit), unit));
  } catch (error) {
    // without a proper reply from systemd the service itself is called
    if (error instanceof BusError || isServiceError(error)) return undefined;
    throw error;
  }
}

/** The state from properties of a unit, with what a failed one wrote to the journal at last. */
export async function explainedState(
  properties: Properties,
  unit: string,
): Promise<UnitState | undefined> {
  const state = stateOf(properties, unit);
  if (state === undefined || state.problem === '') return state;
  const record = await lastRecord(unit, properties);
  return record === ''
    ? state
    : { ...state, problem: `${state.problem}; it wrote last: ${record}` };
}

/** Summarizes the properties of a unit. */
export function stateOf(unit: Properties, name: string): UnitState | undefined {
  const [load, active, sub] = ['LoadState', 'ActiveState', 'SubState'].map((key) => unit.get(key));
  if (load === 'not-found' || typeof active !== 'string') return undefined;
  const [job] = [unit.get('Job')].flat();
  const state = { active, isQueued: typeof job === 'number' && job !== 0 };
  if (load !== 'loaded') return { ...state, problem: `unit ${name} is ${String(load)}` };
  const result = unit.get('Result');
  const isOver = active === 'failed' || sub === 'auto-restart';
  if (!isOver || typeof result !== 'string') return { ...state, problem: '' };
  const status = unit.get('ExecMainStatus');
  const hint =
    status === configurationStatus ? ", its configuration is wrong: 'iotedgectl config check'" : '';
  const shown = typeof status === 'number' && status !== 0 ? `${result}, status ${status}` : result;
  return { ...state, problem: `unit ${name} has failed (${shown})${hint}` };
}

/** Where a socket unit listens, as its files said when systemd read them. */
export function listenPaths(unit: Properties): readonly string[] {
  const listen = unit.get('Listen');
  const pairs: readonly unknown[] = Array.isArray(listen) ? listen : [];
  return pairs.map((pair) => (Array.isArray(pair) ? String(pair[1]) : ''));
}
