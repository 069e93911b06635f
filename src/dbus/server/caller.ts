import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import { Variant } from '../wire/variant.ts';

/** Who made a call, as the bus saw its socket connect. The pid may have been reused: for the journal only. */
export interface Caller {
  readonly sender: string;
  readonly uid: number;
  readonly gids: readonly number[];
  readonly pid: number | undefined;
}

const maxCallers = 8192;

/** The credentials of connections, asked for once each and kept until the connection leaves the bus. */
export class Callers {
  readonly #bus: Bus;
  readonly #cached = new Map<string, Caller>();
  /** The callers whose credentials the bus has reported, by their unique names. */
  readonly cached: ReadonlyMap<string, Caller> = this.#cached;
  readonly #asked = new Map<string, Promise<Caller>>();
  readonly #listeners = new Set<(caller: Caller) => void>();

  private constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Begins to notice connections that leave; only then may anything be kept. */
  static async start(bus: Bus): Promise<Callers> {
    const callers = new Callers(bus);
    const left = {
      sender: 'org.freedesktop.DBus',
      interface: 'org.freedesktop.DBus',
      member: 'NameOwnerChanged',
      arg2: '',
    };
    await bus.subscribe(left, ({ body: [name] }) => {
      if (typeof name === 'string' && name.startsWith(':')) callers.#forget(name);
    });
    return callers;
  }

  /** The caller; AccessDenied when it has left or the bus does not tell its uid. */
  get(sender: string): Promise<Caller> {
    const cached = this.#cached.get(sender);
    if (cached !== undefined) return Promise.resolve(cached);
    let asked = this.#asked.get(sender);
    if (asked === undefined) {
      asked = this.#ask(sender).finally(() => this.#asked.delete(sender));
      this.#asked.set(sender, asked);
    }
    return asked;
  }

  /** Notifies when a connection leaves the bus whose credentials are cached. */
  onVanish(listener: (caller: Caller) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async #ask(sender: string): Promise<Caller> {
    const caller = parseCredentials(sender, await this.#credentials(sender));
    if (!this.#asked.has(sender)) {
      throw new ServiceError('AccessDenied', `the caller ${sender} has left the bus`);
    }
    if (this.#cached.size >= maxCallers) this.#cached.clear();
    this.#cached.set(sender, caller);
    return caller;
  }

  async #credentials(sender: string): Promise<unknown> {
    try {
      const [credentials] = await this.#bus.callDriver('GetConnectionCredentials', 's', [sender]);
      return credentials;
    } catch (error) {
      throw new ServiceError('AccessDenied', `the caller ${sender} is not known to the bus`, {
        cause: error,
      });
    }
  }

  #forget(sender: string): void {
    this.#asked.delete(sender);
    const caller = this.#cached.get(sender);
    if (caller === undefined) return;
    this.#cached.delete(sender);
    for (const listener of this.#listeners) listener(caller);
  }
}

function parseCredentials(sender: string, credentials: unknown): Caller {
  const entries = new Map<string, unknown>();
  if (typeof credentials === 'object' && credentials !== null) {
    for (const [key, value] of Object.entries(credentials)) {
      if (value instanceof Variant) entries.set(key, value.value);
    }
  }
  const uid = entries.get('UnixUserID');
  if (typeof uid !== 'number') {
    throw new ServiceError('AccessDenied', `the bus does not tell the uid of ${sender}`);
  }
  const groups = entries.get('UnixGroupIDs');
  const gids = Array.isArray(groups) ? groups.filter((gid) => typeof gid === 'number') : [];
  const pid = entries.get('ProcessID');
  return { sender, uid, gids: [...new Set(gids)], pid: typeof pid === 'number' ? pid : undefined };
}
