import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { KeyId } from '../ids.ts';
import type { keysService } from '../interfaces/keys.ts';
import { keyProperties, managerProperties } from './properties.ts';
import type { KeyInfo } from './store.ts';

/** The last known keys and their problems, published on the bus. */
export class KeyCatalog {
  readonly #objects: ObjectManager<typeof keysService>;
  readonly #keys = new Map<KeyId, KeyInfo>();
  #failure = '';
  #disk = '';

  constructor(objects: ObjectManager<typeof keysService>) {
    this.#objects = objects;
  }

  /** Publishes exactly these keys, and why some may be missing: '' when none is. */
  replaceAll(keys: readonly KeyInfo[], failure: string): void {
    const ids = new Set(keys.map(({ id }) => id));
    this.#failure = failure;
    for (const id of [...this.#keys.keys()].filter((known) => !ids.has(known))) this.#remove(id);
    for (const key of keys) this.#put(key);
    this.#publishHealth();
  }

  /** Publishes why some keys may be missing, before the next full listing. */
  setFailure(reason: string): void {
    this.#failure = reason;
    this.#publishHealth();
  }

  /** Publishes the problem of the state disk, '' when there is none. */
  setDiskProblem(problem: string): void {
    this.#disk = problem;
    this.#publishHealth();
  }

  put(key: KeyInfo): void {
    this.#put(key);
    this.#publishHealth();
  }

  remove(id: KeyId): void {
    this.#remove(id);
    this.#publishHealth();
  }

  #put(key: KeyInfo): void {
    this.#keys.set(key.id, key);
    this.#objects.put(key.id, keyProperties(key));
  }

  #remove(id: KeyId): void {
    this.#keys.delete(id);
    this.#objects.remove(id);
  }

  #publishHealth(): void {
    const problems = { disk: this.#disk, failure: this.#failure, keys: this.#keys.values() };
    this.#objects.setProperties(managerProperties(problems));
  }
}
