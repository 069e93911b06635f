import type { Cancellation } from '../../../cancellation.ts';
import { LostError } from '../library/ckr.ts';
import { ulong } from '../library/slots.ts';
import type { TokenSessions } from '../library/token-sessions.ts';
import { CKA, CKO } from '../protocol/constants.ts';
import type { FoundObject, Query } from '../protocol/operations.ts';
import type { Attribute, Handle, Template } from '../protocol/values.ts';

/** The objects of a token as the code that reads them sees them: without waiting. */
export interface ObjectView {
  /** Returns the handles of all matching objects; after all of a class were found, without asking the token. */
  find(template: Template): readonly Handle[];
  /** Returns an attribute; undefined when the object does not have it or does not reveal it. */
  attribute(object: Handle, type: number): Buffer | undefined;
}

/** The attributes that are read together with the objects of a class; others are read when they are needed. */
const attributesOf: Readonly<Record<number, readonly number[]>> = {
  [CKO.PRIVATE_KEY]: [
    CKA.LABEL,
    CKA.ID,
    CKA.KEY_TYPE,
    CKA.SIGN,
    CKA.DECRYPT,
    CKA.ALWAYS_AUTHENTICATE,
    CKA.MODULUS,
    CKA.PUBLIC_EXPONENT,
    CKA.EC_PARAMS,
  ],
  [CKO.SECRET_KEY]: [CKA.LABEL, CKA.ID, CKA.KEY_TYPE, CKA.VALUE_LEN, CKA.ENCRYPT, CKA.SIGN],
  [CKO.PUBLIC_KEY]: [
    CKA.LABEL,
    CKA.ID,
    CKA.KEY_TYPE,
    CKA.MODULUS,
    CKA.PUBLIC_EXPONENT,
    CKA.EC_PARAMS,
    CKA.EC_POINT,
  ],
  [CKO.CERTIFICATE]: [CKA.LABEL, CKA.ID],
};

/** More than any reader needs; each fetch is for what the objects of the one before lead to. */
const maxFetches = 8;

/** Objects that were fetched from a token. Records what is missing, which reads as not found. */
export class TokenView implements ObjectView {
  readonly #found = new Map<string, readonly Handle[]>();
  readonly #values = new Map<string, Map<number, Buffer | undefined>>();
  readonly #indices = new WeakMap<readonly Handle[], Map<number, Map<string, Handle[]>>>();
  #missingQueries = new Map<string, Template>();
  #missingValues = new Map<number, Map<string, Handle>>();

  find(template: Template): readonly Handle[] {
    const key = keyOf(template);
    const found = this.#found.get(key) ?? this.#findAmongAll(template);
    if (found === undefined) this.#missingQueries.set(key, template);
    return found ?? [];
  }

  attribute(object: Handle, type: number): Buffer | undefined {
    const key = object.toString('hex');
    const values = this.#values.get(key);
    if (values?.has(type) === true) return values.get(type);
    const missing = this.#missingValues.get(type) ?? new Map<string, Handle>();
    this.#missingValues.set(type, missing.set(key, object));
    return undefined;
  }

  /** Matches all objects of the class; undefined when these, or an attribute that counts, were not fetched. */
  #findAmongAll(template: Template): readonly Handle[] | undefined {
    const ofClass = template.filter(({ type }) => type === CKA.CLASS || type === CKA.TOKEN);
    const rest = template.filter((attribute) => !ofClass.includes(attribute));
    const { attributes } = queryOf(template);
    if (!rest.every(({ type }) => attributes.includes(type))) return undefined;
    const all = this.#found.get(keyOf(ofClass));
    // all of them are fetched next, and then this is read again
    if (this.#missingQueries.has(keyOf(ofClass))) return [];
    if (all === undefined) return undefined;
    return this.#candidates(all, rest).filter((object) => {
      const values = this.#values.get(object.toString('hex'));
      return rest.every(({ type, value }) => isEqual(values?.get(type), value));
    });
  }

  /** The objects that may match: by an index, since each key of a listing searches all objects. */
  #candidates(all: readonly Handle[], template: Template): readonly Handle[] {
    for (const { type, value } of template) {
      // many objects share a type or a flag
      if (typeof value === 'number' || typeof value === 'boolean') continue;
      const indices = this.#indices.get(all) ?? new Map<number, Map<string, Handle[]>>();
      this.#indices.set(all, indices);
      const index = indices.get(type) ?? this.#indexBy(all, type);
      indices.set(type, index);
      return index.get(Buffer.from(value).toString('hex')) ?? [];
    }
    return all;
  }

  #indexBy(all: readonly Handle[], type: number): Map<string, Handle[]> {
    const index = new Map<string, Handle[]>();
    for (const object of all) {
      const value = this.#values.get(object.toString('hex'))?.get(type)?.toString('hex') ?? '';
      const same = index.get(value);
      if (same === undefined) index.set(value, [object]);
      else same.push(object);
    }
    return index;
  }

  get isComplete(): boolean {
    return this.#missingQueries.size === 0 && this.#missingValues.size === 0;
  }

  /** Fetches what was missing: all queries with one call, and one for each kind of attribute. */
  async fetch(sessions: TokenSessions, signal: Cancellation | undefined): Promise<void> {
    const queries = this.#missingQueries;
    const values = this.#missingValues;
    this.#missingQueries = new Map();
    this.#missingValues = new Map();
    if (queries.size > 0) await this.#fetchObjects(sessions, queries, signal);
    for (const [type, objects] of values) {
      const handles = [...objects.values()];
      const read = await sessions.read(handles, type, signal);
      for (const [index, object] of handles.entries()) this.#put(object, type, read[index]);
    }
  }

  async #fetchObjects(
    sessions: TokenSessions,
    templates: ReadonlyMap<string, Template>,
    signal: Cancellation | undefined,
  ): Promise<void> {
    const queries = [...templates.values()].map(queryOf);
    const results = await sessions.find(queries, signal);
    for (const [index, key] of [...templates.keys()].entries()) {
      const objects = results[index] ?? [];
      this.#found.set(
        key,
        objects.map(({ handle }) => handle),
      );
      for (const object of objects) this.#putAll(object, queries[index]?.attributes ?? []);
    }
  }

  #putAll({ handle, values }: FoundObject, types: readonly number[]): void {
    for (const [index, type] of types.entries()) this.#put(handle, type, values[index]);
  }

  #put(object: Handle, type: number, value: Buffer | undefined): void {
    const key = object.toString('hex');
    const values = this.#values.get(key) ?? new Map<number, Buffer | undefined>();
    this.#values.set(key, values.set(type, value));
  }
}

/** Runs `read` until the view has everything that it looks for. */
export async function completed<T>(
  view: TokenView,
  sessions: TokenSessions,
  { read, signal }: { readonly read: () => T; readonly signal: Cancellation | undefined },
): Promise<T> {
  for (let fetches = 0; fetches < maxFetches; fetches++) {
    const result = read();
    if (view.isComplete) return result;
    await view.fetch(sessions, signal);
  }
  // objects come and go all the time
  throw new LostError('reading');
}

/**
 * Runs `read` over the objects of the token. It runs again with what it missed each time, so it must have no effects,
 * and its last result counts. Each fetch is one call, however many objects there are.
 */
export function readObjects<T>(
  sessions: TokenSessions,
  read: (view: ObjectView) => T,
  signal?: Cancellation,
): Promise<T> {
  const view = new TokenView();
  return completed(view, sessions, { read: () => read(view), signal });
}

function queryOf(template: Template): Query {
  const { value } = template.find(({ type }) => type === CKA.CLASS) ?? {};
  return { template, attributes: typeof value === 'number' ? (attributesOf[value] ?? []) : [] };
}

function isEqual(found: Buffer | undefined, wanted: Attribute['value']): boolean {
  if (found === undefined) return false;
  if (typeof wanted === 'number') return ulong(found) === wanted;
  if (typeof wanted === 'boolean') return (found[0] === 1) === wanted;
  return found.equals(Buffer.from(wanted));
}

function keyOf(template: Template): string {
  const textOf = ({ type, value }: Attribute): string =>
    `${type}=${Buffer.isBuffer(value) ? value.toString('hex') : JSON.stringify(value)}`;
  return template.map(textOf).join(' ');
}
