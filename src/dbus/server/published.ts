import type { Bus } from '../bus.ts';
import type { Properties, ServiceDefinition, SignalArguments } from '../definition.ts';
import { childPath } from '../path.ts';
import { Message, messageType } from '../wire/message.ts';
import { ManagerHealth } from './health.ts';
import type { Method } from './method.ts';
import { managedInterfaces, ObjectTree, type ServedObject } from './object-tree.ts';
import { type PropertyChange, PropertySet } from './properties.ts';
import { changedSince, digestsOf, type Shown } from './shown.ts';

type SignalsOf<S extends ServiceDefinition> = NonNullable<S['manager']['signals']>;

interface Signal {
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** What a service shows on the bus: the manager, the objects below it, and the signals about them. */
export class Published<S extends ServiceDefinition> {
  protected readonly tree = new ObjectTree();
  readonly #bus: Bus;
  readonly #service: S;
  readonly #manager: PropertySet;
  readonly #health: ManagerHealth<S['manager']>;
  readonly #children = new Map<string, PropertySet>();
  #live = false;
  #onChange: () => void = () => undefined;

  constructor(
    bus: Bus,
    service: S,
    properties: Properties<S['manager']>,
    methods: ReadonlyMap<string, Method>,
  ) {
    const { manager, path } = service;
    this.#bus = bus;
    this.#service = service;
    this.#manager = new PropertySet(manager, properties);
    this.#health = new ManagerHealth(properties);
    const served = { definition: manager, properties: this.#manager, methods };
    this.tree.add({ path, interfaces: new Map([[manager.name, served]]), managesObjects: true });
  }

  /** From now on changes are announced: the service has its name, and what was there before is no change. */
  goLive(): void {
    this.#live = true;
  }

  /** Is called before each change is announced, so that nobody knows more of it than the listener. Must not throw. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** What clients may have cached: what is shown at present. */
  shown(): Shown {
    const { path } = this.#service;
    return new Map([
      [path, digestsOf(this.#manager)],
      ...[...this.#children].map(([id, set]) => [this.objectPath(id), digestsOf(set)] as const),
    ]);
  }

  /**
   * Announces in what the service differs from what it showed when it ended, for clients that cached that. When that is
   * not known, everything may differ.
   */
  announceSince(before: Shown | undefined): void {
    const { path, manager, child } = this.#service;
    const gone = new Set(before?.keys());
    gone.delete(path);
    this.#invalidate(path, manager.name, changedSince(before?.get(path), this.#manager));
    for (const [id, set] of this.#children) {
      const at = this.objectPath(id);
      const changed = changedSince(before?.get(at), set);
      if (before === undefined) this.#invalidate(at, child.interface.name, changed);
      else if (!gone.delete(at)) this.#announceAdded(at);
      else if (changed.some((name) => set.isConstant(name))) this.#announceReplaced(at);
      else this.#invalidate(at, child.interface.name, changed);
    }
    for (const at of gone) this.#announceRemoved(at);
  }

  /** Changes properties of the manager. */
  setProperties(values: Partial<Properties<S['manager']>>): void {
    this.#announceManager(this.#health.over(values));
  }

  /** Shows a problem of the process beside those that the service has itself; '' ends that. */
  setProblem(text: string): void {
    this.#announceManager(this.#health.with(text));
  }

  /** Adds the object of an id, or replaces its properties. */
  putObject(id: string, properties: Properties<S['child']['interface']>): void {
    if (this.#children.has(id)) {
      this.updateObject(id, properties);
      return;
    }
    const definition = this.#service.child.interface;
    const set = new PropertySet(definition, properties);
    const path = this.objectPath(id);
    const served = { definition, properties: set, methods: new Map<string, Method>() };
    const object: ServedObject = {
      path,
      interfaces: new Map([[definition.name, served]]),
      managesObjects: false,
    };
    this.#children.set(id, set);
    this.tree.add(object);
    this.#announceAdded(path);
  }

  /** Changes properties of the object of an id. */
  updateObject(id: string, values: Partial<Properties<S['child']['interface']>>): void {
    const change = this.#children.get(id)?.set(values);
    const path = this.objectPath(id);
    if (change !== undefined && change.constants.length > 0) this.#announceReplaced(path);
    else this.#announce(path, this.#service.child.interface.name, change);
  }

  /** Removes the object of an id, if there is one. */
  removeObject(id: string): void {
    if (!this.#children.delete(id)) return;
    const path = this.objectPath(id);
    this.tree.remove(path);
    this.#announceRemoved(path);
  }

  /** The ids that have an object. */
  objectIds(): readonly string[] {
    return [...this.#children.keys()];
  }

  /** The path of the object of an id, whether it is there or not. */
  objectPath(id: string): string {
    return childPath(this.#service.path, this.#service.child.segment, id);
  }

  /** Sends a signal of the manager. */
  emit<K extends keyof SignalsOf<S> & string>(
    name: K,
    args: SignalArguments<S['manager'], K>,
  ): void {
    const fields = this.#service.manager.signals?.[name]?.args ?? {};
    const values = new Map<string, unknown>(Object.entries(args));
    this.#signal(this.#service.path, {
      interface: this.#service.manager.name,
      member: name,
      signature: Object.values(fields).join(''),
      body: Object.keys(fields).map((field) => values.get(field)),
    });
  }

  /** Everything public as JSON; objects are written once for each of their changes. */
  protected describe(more: Readonly<Record<string, unknown>> = {}): string {
    const { Version, Health, LastError, ...properties } = this.#manager.toJson();
    const head = JSON.stringify({
      service: this.#service.name,
      version: Version,
      health: Health,
      last_error: LastError,
      properties,
      ...more,
    });
    const objects = [...this.#children].map(
      ([id, set]) => `${JSON.stringify(id)}:${set.jsonText()}`,
    );
    return `${head.slice(0, -1)},"objects":{${objects.join(',')}}}`;
  }

  #announceManager(values: Partial<Properties<S['manager']>>): void {
    this.#announce(this.#service.path, this.#service.manager.name, this.#manager.set(values));
  }

  #announce(path: string, interfaceName: string, change: PropertyChange | undefined): void {
    if (change === undefined) return;
    const { changed, invalidated, constants } = change;
    this.#announceChange({
      path,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'PropertiesChanged',
      signature: 'sa{sv}as',
      body: [interfaceName, changed, [...invalidated, ...constants]],
    });
  }

  #invalidate(path: string, interfaceName: string, invalidated: readonly string[]): void {
    if (invalidated.length === 0) return;
    this.#announce(path, interfaceName, { changed: {}, invalidated, constants: [] });
  }

  #announceAdded(path: string): void {
    const object = this.tree.get(path);
    if (object === undefined) return;
    this.#emit('InterfacesAdded', 'oa{sa{sv}}', [path, managedInterfaces(object)]);
  }

  #announceRemoved(path: string): void {
    this.#emit('InterfacesRemoved', 'oas', [path, [this.#service.child.interface.name]]);
  }

  /** What never changes on one object has changed: another one took its place. */
  #announceReplaced(path: string): void {
    this.#announceRemoved(path);
    this.#announceAdded(path);
  }

  #emit(member: string, signature: string, body: readonly unknown[]): void {
    const objectManager = 'org.freedesktop.DBus.ObjectManager';
    const { path } = this.#service;
    this.#announceChange({ path, interface: objectManager, member, signature, body });
  }

  #announceChange({ path, ...signal }: Signal & { readonly path: string }): void {
    if (!this.#live) return;
    this.#onChange();
    this.#signal(path, signal);
  }

  #signal(path: string, signal: Signal): void {
    if (this.#live) this.#bus.send(new Message({ type: messageType.signal, path, ...signal }));
  }
}
