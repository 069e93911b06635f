import type { InterfaceDefinition } from './definition.ts';
import { interfaceXml, introspectionXml, standardInterfaces } from './introspect.ts';
import type { Method } from './method.ts';
import type { PropertySet } from './properties.ts';
import type { Variant } from './variant.ts';

/** One interface on one object. */
export interface ServedInterface {
  readonly definition: InterfaceDefinition;
  readonly properties: PropertySet;
  readonly methods: ReadonlyMap<string, Method>;
  /** Sets a writable property; absent when none is. */
  readonly write?: (name: string, value: unknown) => void;
}

/** One object: its path and its interfaces by name. */
export interface ServedObject {
  readonly path: string;
  readonly interfaces: ReadonlyMap<string, ServedInterface>;
  readonly managesObjects: boolean;
}

/** The objects of a service by path. */
export class ObjectTree {
  readonly #objects = new Map<string, ServedObject>();

  get(path: string): ServedObject | undefined {
    return this.#objects.get(path);
  }

  add(object: ServedObject): void {
    this.#objects.set(object.path, object);
  }

  remove(path: string): void {
    this.#objects.delete(path);
  }

  /** Objects below a path. */
  below(path: string): readonly ServedObject[] {
    return [...this.#objects.values()].filter((object) => object.path.startsWith(`${path}/`));
  }

  /** Whether an object is at the path or below it. */
  hasNode(path: string): boolean {
    return this.#objects.has(path) || this.#childrenOf(path).length > 0;
  }

  /** Introspection of an object or of a node on the way to one; undefined where there is neither. */
  introspect(path: string): string | undefined {
    const object = this.#objects.get(path);
    const children = this.#childrenOf(path);
    if (object === undefined && children.length === 0) return undefined;
    if (object === undefined) {
      const { peer, introspectable } = standardInterfaces;
      return introspectionXml([peer, introspectable], children);
    }
    const { objectManager, ...always } = standardInterfaces;
    const standard = [...Object.values(always), ...(object.managesObjects ? [objectManager] : [])];
    const own = [...object.interfaces.values()].map(({ definition }) => interfaceXml(definition));
    return introspectionXml([...standard, ...own], children);
  }

  #childrenOf(path: string): readonly string[] {
    const prefix = path === '/' ? '/' : `${path}/`;
    const names = new Set<string>();
    for (const candidate of this.#objects.keys()) {
      if (!candidate.startsWith(prefix) || candidate === path) continue;
      names.add(candidate.slice(prefix.length).split('/', 1)[0] ?? '');
    }
    return [...names].sort();
  }
}

/** The interfaces of an object with all their properties, as ObjectManager tells them. */
export function managedInterfaces({
  interfaces,
}: ServedObject): Readonly<Record<string, Readonly<Record<string, Variant>>>> {
  return Object.fromEntries(
    [...interfaces].map(([name, { properties }]) => [name, properties.all()]),
  );
}
