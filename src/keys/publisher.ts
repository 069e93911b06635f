import type { Properties } from '../dbus/definition.ts';
import type { Server } from '../dbus/serve.ts';
import type { KeyId } from '../ids.ts';
import type { keyInterface, keysInterface, keysService } from '../interfaces/keys.ts';
import type { KeyInfo } from './store.ts';

/** What the rest of the world sees of the keys. */
export interface Publisher {
  /** All keys there are, and why some of them may be missing. */
  publish(keys: readonly KeyInfo[], failure: string | undefined): void;
  /** Why some keys may be missing, ahead of the next look at them all. */
  fail(reason: string): void;
  put(key: KeyInfo): void;
  remove(id: KeyId): void;
}

type ManagerState = Omit<Properties<typeof keysInterface>, 'Version'>;

/** Shows the keys on the bus; until there is a server it only remembers. */
export class BusPublisher implements Publisher {
  readonly #keys = new Map<KeyId, KeyInfo>();
  #failure: string | undefined;
  #server: Server<typeof keysService> | undefined;

  /** The properties of the manager as they are now. */
  get state(): ManagerState {
    const damaged = [...this.#keys.values()]
      .filter(({ state }) => state !== 'ok')
      .map(({ id, state, reason }) => `key "${id}" is ${state}: ${reason ?? ''}`);
    const problems = this.#failure === undefined ? damaged : [this.#failure];
    return {
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: problems.join('; ').slice(0, 1024),
    };
  }

  /** Puts what is remembered on the server; from now on it is told at once. */
  attach(server: Server<typeof keysService>): void {
    this.#server = server;
    for (const key of this.#keys.values()) server.putObject(key.id, propertiesOf(key));
    server.setProperties(this.state);
  }

  publish(keys: readonly KeyInfo[], failure: string | undefined): void {
    const ids = new Set(keys.map(({ id }) => id));
    this.#failure = failure;
    for (const id of [...this.#keys.keys()].filter((known) => !ids.has(known))) this.#remove(id);
    for (const key of keys) this.#put(key);
    this.#server?.setProperties(this.state);
  }

  fail(reason: string): void {
    this.#failure = reason;
    this.#server?.setProperties(this.state);
  }

  put(key: KeyInfo): void {
    this.#put(key);
    this.#server?.setProperties(this.state);
  }

  remove(id: KeyId): void {
    this.#remove(id);
    this.#server?.setProperties(this.state);
  }

  #put(key: KeyInfo): void {
    const known = this.#keys.get(key.id);
    this.#keys.set(key.id, key);
    // Properties that never change are those of another key under the same id.
    if (known !== undefined && (known.kind !== key.kind || known.store !== key.store)) {
      this.#server?.removeObject(key.id);
    }
    this.#server?.putObject(key.id, propertiesOf(key));
  }

  #remove(id: KeyId): void {
    this.#keys.delete(id);
    this.#server?.removeObject(id);
  }
}

function propertiesOf(key: KeyInfo): Properties<typeof keyInterface> {
  return {
    KeyId: key.id,
    Kind: key.kind,
    Algorithm: key.algorithm ?? '',
    Usages: key.usages,
    Store: key.store,
    Origin: key.origin,
    Exportable: key.exportable,
    State: key.state,
    Created: key.created === undefined ? 0n : BigInt(key.created.getTime()) * 1000n,
  };
}
