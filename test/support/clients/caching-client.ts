import type { Bus, BusSignal } from '../../../src/dbus/bus.ts';
import type { ServiceDefinition } from '../../../src/dbus/definition.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';

type Cached = Map<string, string>;

const properties = 'org.freedesktop.DBus.Properties';
const objectManager = 'org.freedesktop.DBus.ObjectManager';

/**
 * A client that caches as zbus does by default: everything it has read is cached until a signal changes or
 * invalidates it, even while the service is not running and after another process has taken the name.
 */
export class CachingClient implements AsyncDisposable {
  /** The signals about properties and objects so far, abbreviated as `+ /path` and `~ /path Name`. */
  readonly signals: string[] = [];
  readonly #bus: Bus;
  readonly #service: ServiceDefinition;
  readonly #cache = new Map<string, Cached>();
  #subscription: AsyncDisposable | undefined;

  private constructor(bus: Bus, service: ServiceDefinition) {
    this.#bus = bus;
    this.#service = service;
  }

  /** Reads all objects, and follows the signals from then on. */
  static async start(bus: Bus, service: ServiceDefinition): Promise<CachingClient> {
    const client = new CachingClient(bus, service);
    const { busName: sender, path: pathNamespace } = service;
    const match = { sender, pathNamespace };
    client.#subscription = await bus.subscribe(match, (signal) => client.#follow(signal));
    for (const [path, values] of await client.#read()) client.#cache.set(path, values);
    return client;
  }

  /** The stale entries of the cache, and the objects that were added or removed without a signal. */
  async errors(): Promise<readonly string[]> {
    const now = await this.#read();
    const wrong = [...this.#cache].flatMap(([path, cached]) => {
      const values = now.get(path);
      if (values === undefined) return [`${path} is missing`];
      const differs = ([name, value]: [string, string]) => values.get(name) !== value;
      const names = [...cached].filter(differs).map(([name]) => name);
      return names.map((name) => `${path} ${name}: ${cached.get(name)}, now ${values.get(name)}`);
    });
    const unknown = [...now.keys()].filter((path) => !this.#cache.has(path));
    return [...wrong, ...unknown.map((path) => `${path} is new`)];
  }

  /** The cached properties of an object. */
  cached(path: string): ReadonlyMap<string, string> {
    return this.#cache.get(path) ?? new Map<string, string>();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription?.[Symbol.asyncDispose]();
  }

  async #read(): Promise<Map<string, Cached>> {
    const { busName: destination, path, manager } = this.#service;
    const to = { destination, path };
    const [all] = await this.#bus.call({
      ...to,
      interface: properties,
      member: 'GetAll',
      signature: 's',
      body: [manager.name],
    });
    const call = { ...to, interface: objectManager, member: 'GetManagedObjects' };
    const [objects] = await this.#bus.call(call);
    const read = new Map([[path, valuesOf(all)]]);
    for (const [child, interfaces] of entriesOf(objects)) read.set(child, this.#own(interfaces));
    return read;
  }

  #own(interfaces: unknown): Cached {
    const own = new Map(entriesOf(interfaces)).get(this.#service.child.interface.name);
    return valuesOf(own);
  }

  #follow({ path, member, body: [first, second, third] }: BusSignal): void {
    if (member === 'InterfacesRemoved') {
      this.signals.push(`- ${String(first)}`);
      this.#cache.delete(String(first));
    } else if (member === 'InterfacesAdded') {
      this.signals.push(`+ ${String(first)}`);
      this.#cache.set(String(first), this.#own(second));
    } else if (member === 'PropertiesChanged') {
      const cached = this.#cache.get(path) ?? new Map<string, string>();
      const changed = valuesOf(second);
      const invalidated = Array.isArray(third) ? third.map(String) : [];
      for (const [name, value] of changed) cached.set(name, value);
      for (const name of invalidated) cached.delete(name);
      for (const name of changed.keys()) this.signals.push(`= ${path} ${name}`);
      for (const name of invalidated) this.signals.push(`~ ${path} ${name}`);
    }
  }
}

function entriesOf(value: unknown): readonly [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function valuesOf(dictionary: unknown): Cached {
  return new Map(
    entriesOf(dictionary).map(([name, value]) => [
      name,
      JSON.stringify(value instanceof Variant ? value.value : value, plain),
    ]),
  );
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
