/** Objects of a token and their attributes. Bounded, because a library may find objects for ever. */
import { setImmediate as turn } from 'node:timers/promises';
import type { FoundObject, Query, Values } from '../protocol/operations.ts';
import type { Handle, Template } from '../protocol/values.ts';
import type { Calls } from './calls.ts';
import { ckrName } from './failures.ts';

const maxObjects = 10_000;
/** Below the longest message, with what surrounds the values. */
const maxValueBytes = 15 << 20;
const objectsPerCall = 64;
/** How long a search runs before other requests get a turn. */
const turnMs = 20;

/** A search in a session, which nothing else uses meanwhile. */
export class Search {
  readonly #calls: Calls;
  readonly #session: Handle;
  #bytes = 0;
  #since = performance.now();

  constructor(calls: Calls, session: Handle) {
    this.#calls = calls;
    this.#session = session;
  }

  /** The objects that a query finds, with their attributes. */
  async find({ template, attributes }: Query): Promise<readonly FoundObject[]> {
    const found: FoundObject[] = [];
    for (const handle of await this.#handles(template)) {
      found.push({ handle, values: this.#values(handle, attributes) });
      await this.#pause();
    }
    return found;
  }

  /** An attribute of each object. */
  async read(objects: readonly Handle[], attribute: number): Promise<Values> {
    const values: (Buffer | undefined)[] = [];
    for (const object of objects) {
      values.push(...this.#values(object, [attribute]));
      await this.#pause();
    }
    return values;
  }

  async #handles(template: Template): Promise<readonly Handle[]> {
    const found: Handle[] = [];
    this.#calls.C_FindObjectsInit(this.#session, template);
    try {
      for (;;) {
        const some = this.#calls.C_FindObjects(this.#session, objectsPerCall);
        found.push(...some);
        if (some.length < objectsPerCall) return found;
        if (found.length > maxObjects)
          throw new RangeError(`it finds more than ${maxObjects} objects`);
        await this.#pause();
      }
    } finally {
      this.#calls.C_FindObjectsFinal(this.#session);
    }
  }

  #values(object: Handle, types: readonly number[]): Values {
    if (types.length === 0) return [];
    const values = this.#all(object, types) ?? this.#each(object, types);
    for (const value of values) this.#bytes += value?.length ?? 0;
    if (this.#bytes > maxValueBytes) throw new RangeError('the attributes take more than 15 MiB');
    return values;
  }

  /** Undefined when the object does not have all of the attributes, or does not reveal them. */
  #all(object: Handle, types: readonly number[]): Values | undefined {
    try {
      return this.#calls.C_GetAttributeValue(this.#session, object, types);
    } catch (error) {
      const name = ckrName(error);
      if (name === 'CKR_ATTRIBUTE_TYPE_INVALID' || name === 'CKR_ATTRIBUTE_SENSITIVE') {
        return undefined;
      }
      throw error;
    }
  }

  #each(object: Handle, types: readonly number[]): Values {
    if (types.length === 1) return [undefined];
    return types.map((type) => this.#all(object, [type])?.[0]);
  }

  async #pause(): Promise<void> {
    if (performance.now() - this.#since < turnMs) return;
    await turn();
    this.#since = performance.now();
  }
}
