import type { Properties } from '../dbus/definition.ts';
import { Display } from '../dbus/server/display.ts';
import type { Server } from '../dbus/server/serve.ts';
import type { KeyId } from '../ids.ts';
import type { keyInterface, keysInterface, keysService } from '../interfaces/keys.ts';
import { withoutSecrets } from '../quoted.ts';
import type { KeyInfo } from './store.ts';

/** What the rest of the world sees of the keys. */
export interface Publisher {
  /** All keys there are, and why some of them may be missing, '' when none is. */
  publish(keys: readonly KeyInfo[], failure: string): void;
  /** Why some keys may be missing, ahead of the next look at them all. */
  fail(reason: string): void;
  put(key: KeyInfo): void;
  remove(id: KeyId): void;
}

type ManagerState = Omit<Properties<typeof keysInterface>, 'Version'>;

/** Shows the keys on the bus. */
export class BusPublisher implements Publisher {
  readonly #display = new Display<typeof keysService, ManagerState>({
    Health: 'ok',
    LastError: '',
  });
  readonly #keys = new Map<KeyId, KeyInfo>();
  #failure = '';
  #disk = '';

  /** The properties of the manager as they are now. */
  get state(): ManagerState {
    return this.#display.state;
  }

  /** Puts what is remembered on the server; from now on it is told at once. */
  attach(server: Server<typeof keysService>): void {
    this.#display.attach(server);
  }

  publish(keys: readonly KeyInfo[], failure: string): void {
    const ids = new Set(keys.map(({ id }) => id));
    this.#failure = failure;
    for (const id of [...this.#keys.keys()].filter((known) => !ids.has(known))) this.#remove(id);
    for (const key of keys) this.#put(key);
    this.#showHealth();
  }

  fail(reason: string): void {
    this.#failure = reason;
    this.#showHealth();
  }

  /** What is wrong with the disk, '' when nothing is. */
  disk(problem: string): void {
    this.#disk = problem;
    this.#showHealth();
  }

  put(key: KeyInfo): void {
    this.#put(key);
    this.#showHealth();
  }

  remove(id: KeyId): void {
    this.#remove(id);
    this.#showHealth();
  }

  #put(key: KeyInfo): void {
    const known = this.#keys.get(key.id);
    this.#keys.set(key.id, key);
    // Properties that never change are those of another key under the same id.
    if (known !== undefined && (known.kind !== key.kind || known.store !== key.store)) {
      this.#display.remove(key.id);
    }
    this.#display.put(key.id, propertiesOf(key));
  }

  #remove(id: KeyId): void {
    this.#keys.delete(id);
    this.#display.remove(id);
  }

  #showHealth(): void {
    const damaged = [...this.#keys.values()]
      .filter(({ state }) => state !== 'ok')
      // what keeps a whole store away is told once
      .filter(({ reason = '' }) => reason === '' || !this.#failure.includes(reason))
      .map(({ id, state, reason }) => `key "${id}" is ${state}: ${reason ?? ''}`);
    const problems = [this.#disk, this.#failure, ...damaged].filter((text) => text !== '');
    this.#display.set({
      Health: problems.length === 0 ? 'ok' : 'degraded',
      LastError: withoutSecrets(problems.join('; ')).slice(0, 1024),
    });
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
