import { ServiceError } from '../../errors.ts';
import type { Bus } from '../bus.ts';
import { Variant } from '../wire/variant.ts';

/** The caller of a method, as the bus saw its socket connect. The pid may have been reused: for the journal only. */
export interface Caller {
  readonly sender: string;
  readonly uid: number;
  readonly gids: readonly number[];
  readonly pid: number | undefined;
}

const maxCallers = 8192;

/** Caches the credentials of connections until they leave the bus. */
export class Callers {
  readonly #bus: Bus;
  readonly #cached = new Map<string, Caller>();
  /** The callers whose credentials the bus has reported, by their unique names. */
  readonly cached: ReadonlyMap<string, Caller> = this.#cached;
  readonly #pending = new Map<string, Promise<Caller>>();
  readonly #listeners = new Set<(caller: Caller) => void>();

  private constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Subscribes to connections that leave the bus, without which nothing may be cached. */
  static async start(bus: Bus): Promise<Callers> {
    const callers = new Callers(bus);
    const left = {
      sender: 'org.freedesktop.DBus',
      interface: 'org.freedesktop.DBus',
      member: 'NameOwnerChanged',
      arg2: '',
    };
    await bus.subscribe(left, ({ body: [name] }) => {
      if (typeof name === 'string' && name.startsWith(':')) callers.#evict(name);
    });
    return callers;
  }

  /** The caller; AccessDenied when it has left or the bus does not report its uid. */
  get(sender: string): Promise<Caller> {
    const cached = this.#cached.get(sender);
    if (cached !== undefined) return Promise.resolve(cached);
    let pending = this.#pending.get(sender);
    if (pending === undefined) {
      pending = this.#fetch(sender).finally(() => this.#pending.delete(sender));
      this.#pending.set(sender, pending);
    }
    return pending;
  }

  /** Notifies when a connection with cached credentials leaves the bus. */
  onVanish(listener: (caller: Caller) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async #fetch(sender: string): Promise<Caller> {
    const caller = parseCredentials(sender, await this.#credentials(sender));
    if (!this.#pending.has(sender)) {
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

  #evict(sender: string): void {
    this.#pending.delete(sender);
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
    throw new ServiceError('AccessDenied', `the bus does not report the uid of ${sender}`);
  }
  const groups = entries.get('UnixGroupIDs');
  const gids = Array.isArray(groups) ? groups.filter((gid) => typeof gid === 'number') : [];
  const pid = entries.get('ProcessID');
  return { sender, uid, gids: [...new Set(gids)], pid: typeof pid === 'number' ? pid : undefined };
}
