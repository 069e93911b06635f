import type { Bus } from '../bus.ts';
import type { Properties, ServiceDefinition, SignalArguments } from '../definition.ts';
import { childPath } from '../path.ts';
import { ManagerHealth } from './health.ts';
import { Method } from './method.ts';
import { ObjectSignals } from './object-signals.ts';
import { ObjectTree, type ServedObject } from './object-tree.ts';
import { PropertySet } from './properties.ts';
import { changedSince, digestsOf, type Shown } from './shown.ts';

type SignalsOf<S extends ServiceDefinition> = NonNullable<S['manager']['signals']>;

/** A child with the values of its properties. */
interface Child {
  readonly object: ServedObject;
  readonly properties: PropertySet;
}

/**
 * The objects of a service: its manager and the children below that, with their properties and the signals about them.
 * A service fills it from its start on; nothing is announced before `goLive`.
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

  /** From now on changes are announced: the service has its name, and what was there before is no change. */
  goLive(): void {
    this.#signals.goLive();
  }

  /** Is called before each change is announced, so that no client has cached more than the listener. Must not throw. */
  onChange(listener: () => void): void {
    this.#signals.onChange(listener);
  }

  /** What clients may have cached: what is shown at present. */
  shown(): Shown {
    const { path } = this.service;
    return new Map([
      [path, digestsOf(this.#manager)],
      ...[...this.#children.values()].map(
        ({ object, properties }) => [object.path, digestsOf(properties)] as const,
      ),
    ]);
  }

  /**
   * Announces in what the service differs from what it showed when it ended, for clients that cached that. When that is
   * not known, everything may differ.
   */
  announceSince(before: Shown | undefined): void {
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

  /** Sets properties of the manager; false when that changes nothing that clients may have cached. */
  setProperties(values: Partial<Properties<S['manager']>>): boolean {
    return this.#setManager(this.#health.over(values));
  }

  /** Shows a problem of the process beside those that the service has itself; '' ends that. */
  setProblem(text: string): void {
    this.#setManager(this.#health.with(text));
  }

  /** Adds the object of an id, or replaces its properties. */
  put(id: string, values: Properties<S['child']['interface']>): void {
    if (this.#children.has(id)) {
      this.update(id, values);
      return;
    }
    const definition = this.service.child.interface;
    const properties = new PropertySet(definition, values);
    properties.assertComplete();
    const served = { definition, properties, methods: new Map<string, Method>() };
    const interfaces = new Map([[definition.name, served]]);
    const object = { path: this.pathOf(id), interfaces, managesObjects: false };
    this.#children.set(id, { object, properties });
    this.tree.add(object);
    this.#signals.added(object);
  }

  /** Changes properties of the object of an id, if there is one. */
  update(id: string, values: Partial<Properties<S['child']['interface']>>): void {
    const child = this.#children.get(id);
    if (child === undefined) return;
    const { object, properties } = child;
    const change = properties.set(values);
    if (change !== undefined && change.constants.length > 0) this.#signals.replaced(object);
    else this.#signals.changed(object.path, this.service.child.interface.name, change);
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

  /** The path of the object of an id, whether it is there or not. */
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

  /** Everything public as JSON; objects are encoded once for each of their changes. */
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

  #setManager(values: Partial<Properties<S['manager']>>): boolean {
    const { path, manager } = this.service;
    const change = this.#manager.set(values);
    this.#signals.changed(path, manager.name, change);
    return change !== undefined;
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
