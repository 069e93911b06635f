import type { Bus } from '../../dbus/bus.ts';
import { Variant } from '../../dbus/wire/variant.ts';
import { ServiceError } from '../../errors.ts';

const name = 'org.freedesktop.systemd1';
const path = '/org/freedesktop/systemd1';
const interfaceName = `${name}.Manager`;
const timeoutMs = 5000;
/** The user may have to type a password first. */
const authorizedMs = 300_000;
/** More than the time that systemd gives a service for its stop and its start. */
const jobMs = 180_000;

/** What systemd is asked to do with a unit. */
export type JobVerb =
  | 'StartUnit'
  | 'StopUnit'
  | 'RestartUnit'
  | 'ReloadOrTryRestartUnit'
  | 'TryRestartUnit';

/** Properties by name. */
export type Properties = ReadonlyMap<string, unknown>;

/** Options of a connection to systemd. */
export interface SystemdOptions {
  /** Whether polkit may ask the user for a password. */
  readonly interactive?: boolean;
}

/** The systemd that owns the bus. */
export class Systemd {
  readonly #bus: Bus;
  readonly #interactive: boolean;
  #subscribed: Promise<unknown> | undefined;

  private constructor(bus: Bus, { interactive = false }: SystemdOptions) {
    this.#bus = bus;
    this.#interactive = interactive;
  }

  /** systemd on this bus; undefined when it is not there. */
  static async find(bus: Bus, options: SystemdOptions = {}): Promise<Systemd | undefined> {
    return (await bus.nameOwner(name)) === undefined ? undefined : new Systemd(bus, options);
  }

  /** As `find`; Unavailable when it is not there. */
  static async require(bus: Bus, options: SystemdOptions = {}): Promise<Systemd> {
    const found = await Systemd.find(bus, options);
    if (found !== undefined) return found;
    const advice = 'this command drives systemd; elsewhere use what starts the services there';
    throw new ServiceError('Unavailable', `no systemd on this bus: ${advice}`);
  }

  /** All properties of a unit; nothing is started. A unit without a file has the `LoadState` not-found. */
  async unit(unit: string): Promise<Properties> {
    const [object] = await this.#bus.call(manager('LoadUnit', 's', [unit]), { timeoutMs });
    const call = {
      destination: name,
      path: String(object),
      interface: 'org.freedesktop.DBus.Properties',
      member: 'GetAll',
      signature: 's',
      body: [''], // of all interfaces
    };
    const [values] = await this.#bus.call(call, { timeoutMs });
    const entries = typeof values === 'object' && values !== null ? Object.entries(values) : [];
    return new Map(
      entries.map(([key, value]) => [key, value instanceof Variant ? value.value : value]),
    );
  }

  /** Does something with a unit, and returns systemd's word for the result, `done` or another. */
  async job(verb: JobVerb, unit: string): Promise<string> {
    const results = new Map<string, string>();
    let arrived: () => void = () => undefined;
    await (this.#subscribed ??= this.#bus.call(manager('Subscribe'), { timeoutMs }));
    const removed = { sender: name, path, interface: interfaceName, member: 'JobRemoved' };
    await using _ = await this.#bus.subscribe(removed, ({ body: [, job, , result] }) => {
      results.set(String(job), String(result));
      arrived();
    });
    const [job] = await this.#authorized(verb, 'ss', [unit, 'replace']);
    const limit = AbortSignal.timeout(jobMs);
    while (!limit.aborted) {
      const result = results.get(String(job));
      if (result !== undefined) return result;
      await new Promise<void>((resolve) => {
        arrived = resolve;
        limit.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return `no result within ${jobMs / 1000} s`;
  }

  /** Forgets that a unit failed, if it did: one that failed too often is not started again otherwise. */
  async resetFailed(unit: string): Promise<void> {
    if ((await this.unit(unit)).get('ActiveState') !== 'failed') return;
    await this.#authorized('ResetFailedUnit', 's', [unit]);
  }

  /** Reads the files of units again. */
  async reload(): Promise<void> {
    await this.#authorized('Reload');
  }

  /** Has units started at each boot. */
  async enable(units: readonly string[]): Promise<void> {
    await this.#authorized('EnableUnitFiles', 'asbb', [units, false, false]);
    await this.reload();
  }

  /** Has units not started at boots any more. */
  async disable(units: readonly string[]): Promise<void> {
    await this.#authorized('DisableUnitFiles', 'asb', [units, false]);
    await this.reload();
  }

  /** Lets nothing start units until the next boot. */
  async maskUntilBoot(units: readonly string[]): Promise<void> {
    await this.#authorized('MaskUnitFiles', 'asbb', [units, true, true]);
    await this.reload();
  }

  #authorized(
    member: string,
    signature = '',
    body: readonly unknown[] = [],
  ): Promise<readonly unknown[]> {
    const call = { ...manager(member, signature, body), interactive: this.#interactive };
    return this.#bus.call(call, { timeoutMs: authorizedMs });
  }
}

function manager(
  member: string,
  signature = '',
  body: readonly unknown[] = [],
): Parameters<Bus['call']>[0] {
  return { destination: name, path, interface: interfaceName, member, signature, body };
}
