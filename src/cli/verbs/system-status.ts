import type { Bus } from '../../dbus/bus.ts';
import { describeError } from '../../errors.ts';
import { type Command, exitCodes } from '../command.ts';
import { type Description, describeRunning, textOf } from '../description.ts';
import { formatJson, formatTable, formatTime } from '../output.ts';
import { type Properties, Systemd } from '../systemd/manager.ts';
import { listenPaths, stateOf } from '../systemd/unit-state.ts';
import {
  alwaysRuns,
  services,
  serviceUnit,
  socketApis,
  socketUnit,
  timerUnits,
} from '../systemd/units.ts';

/** A unit as systemd sees it, and the service behind it as it describes itself. */
export interface UnitFacts {
  readonly unit: string;
  readonly properties: Properties;
  /** Undefined for a service that is not running, and for other units. */
  readonly description?: Pick<Description, 'health' | 'lastError'> | undefined;
  /** Why a running service did not describe itself. */
  readonly failure?: string;
}

/** A line of the output. */
export interface UnitLine {
  readonly unit: string;
  readonly state: string;
  /** Whether something is wrong: it failed, is missing, or does not run although it must. */
  readonly verdict: 'ok' | 'degraded' | 'failing';
  /** Microseconds since the epoch. */
  readonly since: number;
  readonly detail: string;
}

/** `iotedgectl system status`. */
export const systemStatus: Command = {
  words: 'system status',
  summary: 'the units of the services as systemd sees them',
  about: `Services, the sockets of the Module Runtime and the timers. Nothing is started. A service that is inactive starts
when it is called; the Module Runtime, its sockets and the timers must be active. The exit code is 4 when one of
them is not or a unit has failed, and 6 when a service is degraded.`,
  async run({ bus, options, print }) {
    const connection = await bus();
    const systemd = await Systemd.require(connection);
    const lines = (await factsOf(connection, systemd)).map(lineOf);
    if (options['json'] === true) print(formatJson(lines));
    else print(formatTable(['UNIT', 'STATE', 'SINCE', 'DETAIL'], lines.map(cellsOf)));
    if (lines.some(({ verdict }) => verdict === 'failing')) return exitCodes.unavailable;
    if (lines.some(({ verdict }) => verdict === 'degraded')) return exitCodes.degraded;
    return exitCodes.ok;
  },
};

async function factsOf(bus: Bus, systemd: Systemd): Promise<readonly UnitFacts[]> {
  const ofServices = services.map(async (service): Promise<UnitFacts> => {
    const unit = serviceUnit(service);
    const properties = await systemd.unit(unit);
    try {
      return { unit, properties, description: await describeRunning(bus, service) };
    } catch (error) {
      return { unit, properties, failure: describeError(error) };
    }
  });
  const others = [...socketApis.map(socketUnit), ...timerUnits].map(async (unit) => ({
    unit,
    properties: await systemd.unit(unit),
  }));
  return Promise.all([...ofServices, ...others]);
}

/** The line of a unit in the output. */
export function lineOf({ unit, properties, description, failure = '' }: UnitFacts): UnitLine {
  const text = (key: string): string => textOf(properties.get(key));
  const line = {
    unit,
    state: `${text('ActiveState')} (${text('SubState')})`,
    since: Number(properties.get('StateChangeTimestamp') ?? 0),
  };
  const state = stateOf(properties, unit);
  if (state === undefined) {
    return { ...line, state: 'missing', since: 0, verdict: 'failing', detail: 'not installed' };
  }
  const problem = state.problem || failure || stopped(unit, state.active);
  if (problem !== '') return { ...line, verdict: 'failing', detail: problem };
  const verdict = description?.health === 'degraded' ? 'degraded' : 'ok';
  return { ...line, verdict, detail: description?.lastError || detailOf(unit, properties) };
}

/** Why a unit that must run does not, else ``. */
function stopped(unit: string, active: string): string {
  const isDemanded = unit.endsWith('.service') && unit !== serviceUnit({ name: alwaysRuns });
  if (isDemanded || active === 'active' || active === 'activating' || active === 'reloading') {
    return '';
  }
  const start = unit.endsWith('.service') ? 'enable --now' : 'start';
  return `it must be active: systemctl ${start} ${unit}`;
}

function detailOf(unit: string, properties: Properties): string {
  if (unit.endsWith('.socket')) return listenPaths(properties).join(', ');
  if (unit.endsWith('.timer')) {
    // a timer elapses again when what it has started has ended, and has no next time until then
    if (properties.get('SubState') === 'running') return 'waits for the end of what it started';
    return `next at ${formatTime(Number(properties.get('NextElapseUSecRealtime') ?? 0))}`;
  }
  if (properties.get('ActiveState') === 'inactive') return 'starts when it is called';
  const pid = Number(properties.get('MainPID') ?? 0);
  return pid > 0 ? `process ${pid}` : '';
}

function cellsOf({ unit, state, since, detail }: UnitLine): readonly string[] {
  return [unit, state, formatTime(since), detail];
}
