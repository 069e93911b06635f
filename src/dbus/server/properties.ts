import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { InterfaceDefinition, PropertyDefinition } from '../definition.ts';
import { type Variant, variant } from '../wire/variant.ts';

/** A change of properties, as PropertiesChanged announces it. */
export interface PropertyChange {
  readonly changed: Readonly<Record<string, Variant>>;
  readonly invalidated: readonly string[];
  /** Constant properties that changed: the object must be announced as a new one. */
  readonly constants: readonly string[];
}

type PropertyValues = Readonly<Record<string, unknown>>;

/** The values of an object that are computed when one of them is needed. */
export class DeferredValues<V extends PropertyValues = PropertyValues> {
  /** A text that differs whenever one of the values does. */
  readonly state: string;
  /** Returns the same values at any time. */
  readonly compute: () => V;

  constructor(state: string, compute: () => V) {
    this.state = state;
    this.compute = compute;
  }
}

const none = {};

/** The properties of one interface on one object. */
export class PropertySet {
  readonly #definitions: Readonly<Record<string, PropertyDefinition>>;
  readonly #names: readonly string[];
  #computed: Record<string, unknown> | undefined;
  #deferred: DeferredValues | undefined;
  #revision = 0;
  #json: string | undefined;

  constructor(definition: InterfaceDefinition, values: PropertyValues | DeferredValues) {
    this.#definitions = definition.properties ?? none;
    this.#names = namesOf(this.#definitions);
    if (values instanceof DeferredValues) this.#deferred = values;
    else this.#computed = { ...values };
  }

  get #values(): Record<string, unknown> {
    return (this.#computed ??= { ...this.#deferred?.compute() });
  }

  /** Throws when a property has no value; must pass before the first read. Deferred values are not computed for it. */
  assertComplete(): void {
    if (this.#computed === undefined) return;
    for (const name of this.#names) {
      if (this.#values[name] === undefined) throw new TypeError(`property ${name} has no value`);
    }
  }

  /** Changes values and returns the change to announce; undefined when there is none. */
  set(values: PropertyValues | DeferredValues): PropertyChange | undefined {
    if (!(values instanceof DeferredValues)) return this.#set(values);
    if (values.state === this.#deferred?.state) return undefined;
    const change = this.#set(values.compute());
    this.#deferred = values;
    return change;
  }

  #set(values: PropertyValues): PropertyChange | undefined {
    const changed: Record<string, Variant> = {};
    const invalidated: string[] = [];
    const constants: string[] = [];
    for (const [name, value] of Object.entries(values)) {
      const definition = this.#definitions[name];
      if (definition === undefined) throw new TypeError(`no property ${name}`);
      if (value === undefined || isDeepStrictEqual(this.#values[name], value)) continue;
      this.#values[name] = value;
      this.#deferred = undefined;
      this.#revision++;
      this.#json = undefined;
      if (definition.emits === 'true') changed[name] = toVariant(definition, value);
      if (definition.emits === 'invalidates') invalidated.push(name);
      if (definition.emits === 'const') constants.push(name);
    }
    const isSilent = invalidated.length + constants.length + Object.keys(changed).length === 0;
    return isSilent ? undefined : { changed, invalidated, constants };
  }

  /** Increases with each change of a value. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the property is constant for the life of an object. */
  isConstant(name: string): boolean {
    return this.#definitions[name]?.emits === 'const';
  }

  /** One value; undefined when there is no such property. */
  get(name: string): Variant | undefined {
    const definition = Object.hasOwn(this.#definitions, name) ? this.#definitions[name] : undefined;
    if (definition === undefined) return undefined;
    return toVariant(definition, this.#values[name]);
  }

  /** All values, as GetAll returns them. */
  all(): Record<string, Variant> {
    return Object.fromEntries(
      Object.entries(this.#definitions).map(([name, definition]) => [
        name,
        toVariant(definition, this.#values[name]),
      ]),
    );
  }

  /** The names of the properties that clients may cache. */
  cached(): readonly string[] {
    return this.#names.filter((name) => this.#definitions[name]?.emits !== 'false');
  }

  /** SHA-256 of values as JSON; of the state of deferred ones, for all together. */
  digest(names: readonly string[]): string {
    const isAll = names.length === this.#names.length;
    const some = (): string => JSON.stringify(names.map((name) => jsonOf(this.#values[name])));
    return hash('sha256', isAll ? (this.#deferred?.state ?? this.jsonText()) : some(), 'base64url');
  }

  /** All values as JSON: times as numbers, bytes as base64. */
  toJson(): Record<string, unknown> {
    const json: Record<string, unknown> = {};
    for (const name of this.#names) json[name] = jsonOf(this.#values[name]);
    return json;
  }

  /** The same as text, cached until a value changes. */
  jsonText(): string {
    this.#json ??= JSON.stringify(this.toJson());
    return this.#json;
  }
}

const allNames = new WeakMap<object, readonly string[]>();

/** One list for all objects of an interface. */
function namesOf(definitions: Readonly<Record<string, PropertyDefinition>>): readonly string[] {
  let names = allNames.get(definitions);
  if (names === undefined) {
    names = Object.keys(definitions);
    allNames.set(definitions, names);
  }
  return names;
}

function toVariant({ type, record }: PropertyDefinition, value: unknown): Variant {
  return variant(
    type,
    record === undefined ? sendable(type, value) : recordToVariants(record, value),
  );
}

/** A time before 1970, as a certificate or an engine may have, is sent as 0, so that other values stay readable. */
function sendable(type: string, value: unknown): unknown {
  return type === 't' && typeof value === 'bigint' && value < 0n ? 0n : withoutNul(value);
}

/** Text of a cloud or an engine may hold NUL, which D-Bus forbids; it is replaced so that the rest is readable. */
function withoutNul(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '\ufffd');
  return Array.isArray(value) ? value.map(withoutNul) : value;
}

/** Converts an object to `a{sv}` by the signatures of its fields, all of which must be present. */
export function recordToVariants(
  fields: Readonly<Record<string, string>>,
  value: unknown,
): Record<string, Variant> {
  const values = new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
  return Object.fromEntries(
    Object.entries(fields).map(([name, type]) => {
      const field: unknown = values.get(name);
      if (field === undefined) throw new TypeError(`field ${name} has no value`);
      return [name, variant(type, sendable(type, field))];
    }),
  );
}

function jsonOf(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(jsonOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, jsonOf(field)]));
}
