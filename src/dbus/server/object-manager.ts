import type { Bus } from '../bus.ts';
import type { Properties, ServiceDefinition, SignalArguments } from '../definition.ts';
import { childPath } from '../path.ts';
import { ManagerHealth } from './health.ts';
import { Method } from './method.ts';
import { ObjectSignals } from './object-signals.ts';
import { ObjectTree, type ServedObject } from './object-tree.ts';
import { type DeferredValues, PropertySet } from './properties.ts';
import { changedSince, digestsOf, type PropertyDigests } from './property-digests.ts';

/** The values of the properties of a child. */
type ValuesOf<S extends ServiceDefinition> = Properties<S['child']['interface']>;
type SignalsOf<S extends ServiceDefinition> = NonNullable<S['manager']['signals']>;

const noMethods: ReadonlyMap<string, Method> = new Map();

/** A child with the values of its properties. */
interface Child {
  readonly object: ServedObject;
  readonly properties: PropertySet;
}

/**
 * The objects of a service: its manager and the children below that, with their properties and their signals.
 * A service adds objects from its start on; nothing is announced before `goLive`.
 */
export class ObjectManager<S extends ServiceDefinition> {
  readonly tree = new ObjectTree();
  /** The methods of the manager, by name. */
  readonly methods: ReadonlyMap<string, Method>;
  readonly service: S;
  readonly #signals: ObjectSignals;
  readonly #manager: PropertySet;
  readonly #health = new ManagerHealth<S['manager']>();
  readonly #children = new Map<string, Child>();
  #onHealth: (lastError: string) => void = () => undefined;
  #lastError = '';

  constructor(bus: Pick<Bus, 'send'>, service: S, version = '') {
    const { manager, path } = service;
    this.service = service;
    this.#signals = new ObjectSignals(bus, path);
    this.#manager = new PropertySet(manager, { Version: version, Health: 'ok', LastError: '' });
    this.methods = methodsOf(service);
    const served = { definition: manager, properties: this.#manager, methods: this.methods };
    this.tree.add({ path, interfaces: new Map([[manager.name, served]]), managesObjects: true });
  }

  /** Throws when a property of the manager has no value yet. */
  assertComplete(): void {
    this.#manager.assertComplete();
  }

  /** Announces changes from now on: the service owns its name, and clients have seen nothing from before. */
  goLive(): void {
    this.#signals.goLive();
  }

  /** Calls the listener before each change is announced, so that no client learns of it earlier. It must not throw. */
  onChange(listener: () => void): void {
    this.#signals.onChange(listener);
  }

  /** Notifies of every change of LastError, also before `goLive`; it must not throw. */
  onHealth(listener: (lastError: string) => void): void {
    this.#onHealth = listener;
  }

  /** Digests of the current values that clients may have cached. */
  digests(): PropertyDigests {
    const { path } = this.service;
    return new Map([
      [path, digestsOf(this.#manager)],
      ...[...this.#children.values()].map(
        ({ object, properties }) => [object.path, digestsOf(properties)] as const,
      ),
    ]);
  }

  /**
   * Announces the differences to the values of the previous run, for clients that have cached those. When the previous
   * values are unknown, everything may differ.
   */
  announceSince(before: PropertyDigests | undefined): void {
    const { path, manager, child } = this.service;
    const gone = new Set(before?.keys());
    gone.delete(path);
    this.#signals.invalidated(path, manager.name, changedSince(before?.get(path), this.#manager));
    for (const { object, properties } of this.#children.values()) {
      const at = object.path;
      const changed = changedSince(before?.get(at), properties);
      if (before === undefined) this.#signals.invalidated(at, child.interface.name, changed);
      else if (!gone.delete(at)) this.#signals.added(object);
      else if (changed.some((name) => properties.isConstant(name))) this.#signals.replaced(object);
      else this.#signals.invalidated(at, child.interface.name, changed);
    }
    for (const at of gone) this.#signals.removed(at, [child.interface.name]);
  }

  /** Sets properties of the manager; returns whether a value changed that clients may have cached. */
  setProperties(values: Partial<Properties<S['manager']>>): boolean {
    return this.#setManager(this.#health.over(values));
  }

  /** Sets a problem of the process, which Health and LastError show besides those of the service; '' for none. */
  setProblem(subject: string, text: string): void {
    this.#setManager(this.#health.with(subject, text));
  }

  /** Adds the object of an id, or replaces its properties. */
  put(id: string, values: ValuesOf<S>): void {
    this.#put(id, values);
  }

  /** As `put`, with values that are computed when one of them is needed. */
  putDeferred(id: string, values: DeferredValues<ValuesOf<S>>): void {
    this.#put(id, values);
  }

  /** Changes properties of the object of an id, if there is one. */
  update(id: string, values: Partial<ValuesOf<S>>): void {
    const child = this.#children.get(id);
    if (child !== undefined) this.#set(child, values);
  }

  /** Removes the object of an id, if there is one. */
  remove(id: string): void {
    const child = this.#children.get(id);
    if (child === undefined) return;
    this.#children.delete(id);
    this.tree.remove(child.object.path);
    this.#signals.removed(child.object.path, [this.service.child.interface.name]);
  }

  /** The ids that have an object. */
  ids(): readonly string[] {
    return [...this.#children.keys()];
  }

  /** The path of the object of an id, also when it does not exist. */
  pathOf(id: string): string {
    return childPath(this.service.path, this.service.child.segment, id);
  }

  /** Sends a signal of the manager. */
  emit<K extends keyof SignalsOf<S> & string>(
    name: K,
    args: SignalArguments<S['manager'], K>,
  ): void {
    const fields = this.service.manager.signals?.[name]?.args ?? {};
    const values = new Map<string, unknown>(Object.entries(args));
    this.#signals.send({
      path: this.service.path,
      interface: this.service.manager.name,
      member: name,
      signature: Object.values(fields).join(''),
      body: Object.keys(fields).map((field) => values.get(field)),
    });
  }

  /** All properties as JSON; each object is encoded once per change. */
  describe(more: Readonly<Record<string, unknown>> = {}): string {
    const { Version, Health, LastError, ...properties } = this.#manager.toJson();
    const head = JSON.stringify({
      service: this.service.name,
      version: Version,
      health: Health,
      last_error: LastError,
      properties,
      ...more,
    });
    const objects = [...this.#children].map(
      ([id, child]) => `${JSON.stringify(id)}:${child.properties.jsonText()}`,
    );
    return `${head.slice(0, -1)},"objects":{${objects.join(',')}}}`;
  }

  #put(id: string, values: ValuesOf<S> | DeferredValues<ValuesOf<S>>): void {
    const child = this.#children.get(id);
    if (child !== undefined) {
      this.#set(child, values);
      return;
    }
    const definition = this.service.child.interface;
    const properties = new PropertySet(definition, values);
    properties.assertComplete();
    const served = { definition, properties, methods: noMethods };
    const interfaces = new Map([[definition.name, served]]);
    const object = { path: this.pathOf(id), interfaces, managesObjects: false };
    this.#children.set(id, { object, properties });
    this.tree.add(object);
    this.#signals.added(object);
  }

  #set(
    { object, properties }: Child,
    values: Partial<ValuesOf<S>> | DeferredValues<ValuesOf<S>>,
  ): void {
    const change = properties.set(values);
    if (change !== undefined && change.constants.length > 0) this.#signals.replaced(object);
    else this.#signals.changed(object.path, this.service.child.interface.name, change);
  }

  #setManager(values: Partial<Properties<S['manager']>>): boolean {
    const { path, manager } = this.service;
    const change = this.#manager.set(values);
    this.#signals.changed(path, manager.name, change);
    this.#noticeHealth();
    return change !== undefined;
  }

  #noticeHealth(): void {
    const lastError = this.#manager.get('LastError')?.value;
    if (typeof lastError !== 'string' || lastError === this.#lastError) return;
    this.#lastError = lastError;
    this.#onHealth(lastError);
  }
}

function methodsOf(service: ServiceDefinition): ReadonlyMap<string, Method> {
  return new Map(
    Object.entries(service.manager.methods ?? {}).map(([name, definition]) => [
      name,
      new Method(name, definition),
    ]),
  );
}
