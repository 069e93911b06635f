import type { InterfaceDefinition } from '../definition.ts';
import { interfaceXml, introspectionXml, standardInterfaces } from '../introspect.ts';
import { writersOf } from '../wire/codec.ts';
import type { Variant } from '../wire/variant.ts';
import { WireWriter } from '../wire/writer.ts';
import type { Method } from './method.ts';
import type { PropertySet } from './properties.ts';

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

/** An object encoded for GetManagedObjects, valid for one revision of its properties. */
interface EncodedObject {
  readonly revision: number;
  readonly bytes: Buffer;
}

/**
 * The objects of a service by path. Any process may read all of them at any time, so reads are cheap: nodes know
 * their children, and objects are encoded once per change.
 */
export class ObjectTree {
  readonly #objects = new Map<string, ServedObject>();
  /** The names below each node that has any. */
  readonly #nodes = new Map<string, Set<string>>();
  readonly #encoded = new Map<string, EncodedObject>();
  readonly #introspection = new Map<string, string>();

  get(path: string): ServedObject | undefined {
    return this.#objects.get(path);
  }

  add(object: ServedObject): void {
    this.#evict(object.path);
    this.#objects.set(object.path, object);
    this.#addNode(object.path);
  }

  remove(path: string): void {
    this.#evict(path);
    this.#objects.delete(path);
    this.#removeNode(path);
  }

  /** The objects below a path with all their properties, as entries of `a{oa{sa{sv}}}`. */
  encodedBelow(path: string): Uint8Array {
    const entries: Uint8Array[] = [];
    for (const object of this.#objects.values()) {
      if (object.path.startsWith(`${path}/`)) entries.push(this.#encode(object));
    }
    return joinAligned(entries);
  }

  /** Whether an object is at the path or below it. */
  hasNode(path: string): boolean {
    return this.#objects.has(path) || this.#nodes.has(path);
  }

  /** Introspection of an object or of a node above one; undefined for any other path. */
  introspect(path: string): string | undefined {
    const object = this.#objects.get(path);
    const children = this.#nodes.get(path);
    if (children === undefined) return object && introspectionOf(object, []);
    let xml = this.#introspection.get(path);
    if (xml === undefined) {
      xml = introspectionOf(object, [...children].sort());
      this.#introspection.set(path, xml);
    }
    return xml;
  }

  #encode(object: ServedObject): Uint8Array {
    let revision = 0;
    for (const { properties } of object.interfaces.values()) revision += properties.revision;
    const cached = this.#encoded.get(object.path);
    if (cached?.revision === revision) return cached.bytes;
    const writer = new WireWriter(512);
    const values = [object.path, managedInterfaces(object)];
    writersOf('oa{sa{sv}}').forEach((write, at) => write(writer, values[at]));
    const bytes = Buffer.from(writer.buffer.subarray(0, writer.position));
    this.#encoded.set(object.path, { revision, bytes });
    return bytes;
  }

  #evict(path: string): void {
    this.#encoded.delete(path);
    this.#introspection.delete(path);
  }

  /** Adds the names on a path, up to a node that has some below it: that and those above have theirs. */
  #addNode(path: string): void {
    for (let child = path; child !== '/'; ) {
      const { parent, name } = placeOf(child);
      const children = this.#nodes.get(parent);
      this.#introspection.delete(parent);
      if (children !== undefined) {
        children.add(name);
        return;
      }
      this.#nodes.set(parent, new Set([name]));
      child = parent;
    }
  }

  /** Removes the names on a path that neither are of an object nor have others below them. */
  #removeNode(path: string): void {
    for (let child = path; child !== '/' && !this.hasNode(child); ) {
      const { parent, name } = placeOf(child);
      const children = this.#nodes.get(parent);
      this.#introspection.delete(parent);
      children?.delete(name);
      if (children?.size === 0) this.#nodes.delete(parent);
      child = parent;
    }
  }
}

function placeOf(path: string): { readonly parent: string; readonly name: string } {
  const slash = path.lastIndexOf('/');
  return { parent: slash === 0 ? '/' : path.slice(0, slash), name: path.slice(slash + 1) };
}

function introspectionOf(object: ServedObject | undefined, children: readonly string[]): string {
  if (object === undefined) {
    const { peer, introspectable } = standardInterfaces;
    return introspectionXml([peer, introspectable], children);
  }
  const { objectManager, ...always } = standardInterfaces;
  const standard = [...Object.values(always), ...(object.managesObjects ? [objectManager] : [])];
  const own = [...object.interfaces.values()].map(({ definition }) => cachedXml(definition));
  return introspectionXml([...standard, ...own], children);
}

const interfaceXmls = new WeakMap<InterfaceDefinition, string>();

function cachedXml(definition: InterfaceDefinition): string {
  let xml = interfaceXmls.get(definition);
  if (xml === undefined) {
    xml = interfaceXml(definition);
    interfaceXmls.set(definition, xml);
  }
  return xml;
}

/** Concatenates elements, each aligned to 8. */
function joinAligned(elements: readonly Uint8Array[]): Uint8Array {
  const starts: number[] = [];
  let end = 0;
  for (const { length } of elements) {
    const start = (end + 7) & ~7;
    starts.push(start);
    end = start + length;
  }
  const joined = Buffer.alloc(end);
  elements.forEach((element, at) => joined.set(element, starts[at]));
  return joined;
}

/** The interfaces of an object with all their properties, as ObjectManager reports them. */
export function managedInterfaces({
  interfaces,
}: ServedObject): Readonly<Record<string, Readonly<Record<string, Variant>>>> {
  return Object.fromEntries(
    [...interfaces].map(([name, { properties }]) => [name, properties.all()]),
  );
}
