import { isServiceError, ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import { SharedReads } from '../service/shared-reads.ts';
import {
  type Algorithm,
  isPairAlgorithm,
  type PairAlgorithm,
  type SymmetricAlgorithm,
  sameUsages,
} from './algorithm.ts';
import type { KeyCatalog } from './catalog.ts';
import { Changes, endsBefore } from './changes.ts';
import { notFound, notSupported, unusable } from './errors.ts';
import type {
  Ignored,
  Key,
  KeyAttributes,
  KeyInfo,
  KeyStore,
  Listing,
  Material,
  StoreKind,
} from './store.ts';
import type { Stores } from './stores.ts';

/** D-Bus clients give up after 25 s. */
const publicReadMs = 25_000;

/** Changes and looks at all stores may take so long before their stores are replaced. */
const changesMayTakeMs = 20_000;

/** What happens when the id of a new key is taken. */
export type IfExists = 'fail' | 'keep' | 'replace';

/** How a key is made. */
export interface NewKey extends KeyAttributes {
  readonly ifExists: IfExists;
  /** `undefined` for the configured one. */
  readonly store: StoreKind | undefined;
}

/**
 * The keys of all stores under one set of ids: which store holds an id, and the rules for making and removing
 * keys. Changes to one id happen one after the other.
 */
export class KeyService {
  #stores: Stores;
  readonly #catalog: KeyCatalog;
  readonly #changes = new Changes();
  #ignored: readonly Ignored[] = [];
  #revision = 0;
  #refreshing: Promise<void> | undefined;
  /** By id: everybody may ask, and a token may have to be asked. */
  readonly #publicReads: SharedReads<Key | undefined>;
  /** Looks at all stores for the sake of ids that nobody has. */
  readonly #looks: SharedReads<void>;
  /** Why the token could not be listed when that was last tried. */
  #listFailure: ServiceError | undefined;

  constructor(stores: Stores, catalog: KeyCatalog, elapsedMs = () => performance.now()) {
    this.#stores = stores;
    this.#catalog = catalog;
    this.#publicReads = new SharedReads({ elapsedMs });
    this.#looks = new SharedReads({ elapsedMs });
  }

  /** Objects of the stores that are not offered, and why. */
  get ignored(): readonly Ignored[] {
    return this.#ignored;
  }

  /** Whether keys are being made or removed. */
  get isChanging(): boolean {
    return this.#changes.size > 0;
  }

  /**
   * Works with other stores from now on. Changes under way end before they are opened, and new ones wait;
   * Unavailable, and nothing is replaced, when they take too long.
   */
  async replaceStores(
    open: () => Promise<Stores>,
    close: (stores: Stores) => Promise<void>,
  ): Promise<Stores> {
    return this.#changes.hold(async () => {
      const end = performance.now() + changesMayTakeMs;
      await endsBefore(end, () => this.isChanging);
      const stores = await open();
      await this.#lookedBefore(end, () => close(stores));
      this.#stores = stores;
      this.#revision++;
      this.#publicReads.evictAll();
      return stores;
    });
  }

  async #lookedBefore(end: number, giveUp: () => Promise<void>): Promise<void> {
    try {
      await endsBefore(end, () => this.#refreshing !== undefined);
    } catch (error) {
      await giveUp();
      throw error;
    }
  }

  /** Publishes why a token cannot be used, now; the rest of the news is for `refresh`. */
  tokenChanged(failure: unknown): void {
    this.#revision++;
    this.#publicReads.evictAll();
    if (isServiceError(failure)) this.#catalog.setFailure(failure.message);
  }

  /** Looks at all stores and publishes what changed, made by whomever. */
  async refresh(signal: AbortSignal): Promise<void> {
    this.#refreshing ??= this.#refreshNow(signal);
    await this.#refreshing;
  }

  /** The key of an id. NotFound when no store holds it, Unavailable when one that may cannot be asked. */
  async require(id: KeyId, signal: AbortSignal): Promise<Key> {
    const key = await this.#find(id, signal);
    if (key === undefined) throw notFound(id);
    return key;
  }

  /**
   * The public half of a pair. Everybody may ask, so no token is searched for an id that nobody has, and those
   * who ask about one key at the same time share the answer.
   */
  async publicKey(id: KeyId): Promise<Buffer> {
    if (!(await this.#mayBeThere(id))) throw notFound(id);
    const key = await this.#publicReads.get(id, () => this.#find(id, publicSignal()));
    if (key === undefined) throw notFound(id);
    const { info } = key;
    if (info.spki !== undefined) return info.spki;
    if (info.state !== 'ok') throw unusable(info);
    throw notSupported(`key "${id}" is symmetric`);
  }

  /** Makes a pair of the first algorithm of the list that the store can make. */
  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    wanted: NewKey,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#alone(id, async () => {
      const found = (await this.#find(id, signal))?.info;
      if (this.#keeps(found, { id, algorithms, origin: 'generated' }, wanted)) return;
      const store = this.#store(wanted.store ?? this.#stores.defaults.pair);
      this.#added(await store.createPair(id, algorithms, wanted, signal));
    });
  }

  /** Makes a symmetric key. */
  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    wanted: NewKey,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#alone(id, async () => {
      const found = (await this.#find(id, signal))?.info;
      if (this.#keeps(found, { id, algorithms: [algorithm], origin: 'generated' }, wanted)) return;
      const store = this.#store(wanted.store ?? this.#stores.defaults.symmetric);
      this.#added(await store.createSymmetric(id, algorithm, wanted, signal));
    });
  }

  /** Stores material under an id. */
  async importKey(
    id: KeyId,
    material: Material,
    wanted: NewKey,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#alone(id, async () => {
      const { algorithm } = material;
      const found = (await this.#find(id, signal))?.info;
      if (this.#keeps(found, { id, algorithms: [algorithm], origin: 'imported' }, wanted)) return;
      const { defaults } = this.#stores;
      const usual = isPairAlgorithm(algorithm) ? defaults.pair : defaults.symmetric;
      const kind = wanted.store ?? found?.store ?? usual;
      if (found !== undefined && found.store !== kind) {
        throw notSupported(
          `key "${id}" is in store ${found.store}: it cannot be replaced in ${kind}`,
        );
      }
      this.#added(await this.#store(kind).importKey(id, material, wanted, signal));
    });
  }

  /** Removes a key. */
  async deleteKey(id: KeyId, signal: AbortSignal): Promise<void> {
    await this.#alone(id, async () => {
      const key = await this.require(id, signal);
      if (key.info.origin === 'preloaded') throw preloaded(id);
      await key.delete(signal);
      this.#catalog.remove(id);
    });
  }

  async #refreshNow(signal: AbortSignal): Promise<void> {
    try {
      let revision: number;
      let inFiles: Listing;
      let inTokens: Listing | undefined;
      do {
        // what was changed meanwhile is published already, and what was seen before that is old.
        revision = this.#revision;
        const { file, pkcs11 } = this.#stores;
        inFiles = await file.list();
        inTokens = await pkcs11?.list(signal);
      } while (revision !== this.#revision);
      const { keys, ignored } = merged(inTokens, inFiles);
      this.#ignored = ignored;
      this.#listFailure = inTokens?.failure;
      this.#publicReads.evictAll();
      const failures = [inTokens?.failure, inFiles.failure].map((one) => one?.message);
      this.#catalog.replaceAll(keys, failures.filter((one) => one !== undefined).join('; '));
    } finally {
      // not a turn later: who comes then is shown no older news.
      this.#refreshing = undefined;
    }
  }

  /** Whether to search for a key: all ids that nobody has are answered by one listing a second. */
  async #mayBeThere(id: KeyId): Promise<boolean> {
    const { file, pkcs11 } = this.#stores;
    if (pkcs11 === undefined || pkcs11.knows(id) || (await file.get(id)) !== undefined) {
      return true;
    }
    if (pkcs11.lacks(id)) return false;
    await this.#looks.get('', () => this.refresh(publicSignal()));
    if (pkcs11.lacks(id)) return false;
    if (pkcs11.knows(id)) return true;
    throw this.#listFailure ?? new ServiceError('Unavailable', 'the token is being looked at');
  }

  async #find(id: KeyId, signal: AbortSignal): Promise<Key | undefined> {
    const { file, pkcs11 } = this.#stores;
    if (pkcs11?.preloadedIds.has(id)) return pkcs11.get(id, signal);
    let failure: ServiceError | undefined;
    try {
      const key = await file.get(id);
      if (key !== undefined) return key;
    } catch (error) {
      if (!isServiceError(error)) throw error;
      // a key that is found in a token is served all the same
      failure = error;
    }
    const key = await pkcs11?.get(id, signal);
    if (key === undefined && failure !== undefined) throw failure;
    return key;
  }

  /** Whether the key that is there is the one that is wanted; AlreadyExists when it is in the way. */
  #keeps(
    info: KeyInfo | undefined,
    made: {
      readonly id: KeyId;
      readonly algorithms: readonly Algorithm[];
      readonly origin: KeyInfo['origin'];
    },
    wanted: NewKey,
  ): boolean {
    if (info === undefined) return false;
    if (info.origin === 'preloaded') throw preloaded(made.id);
    if (info.state === 'unavailable') throw unusable(info);
    switch (wanted.ifExists) {
      case 'replace':
        return false;
      case 'fail':
        throw new ServiceError('AlreadyExists', `key "${made.id}" exists already`);
      case 'keep':
        if (fits(info, made, wanted)) return true;
        throw new ServiceError('AlreadyExists', `another kind of key "${made.id}" exists already`);
    }
  }

  #store(kind: StoreKind): KeyStore {
    if (kind === 'file') return this.#stores.file;
    const { pkcs11 } = this.#stores;
    if (pkcs11 !== undefined) return pkcs11;
    throw notSupported('no token is configured');
  }

  #added(info: KeyInfo): void {
    this.#catalog.put(info);
  }

  async #alone(id: KeyId, change: () => Promise<void>): Promise<void> {
    await this.#changes.make(id, change, () => {
      this.#revision++;
      this.#publicReads.evict(id);
    });
  }
}

/** What one caller asked for and others joined does not end when that caller leaves. */
function publicSignal(): AbortSignal {
  return AbortSignal.timeout(publicReadMs);
}

/** The keys of all stores, one of each id, and what is not offered. */
function merged(
  inTokens: Listing | undefined,
  inFiles: Listing,
): { readonly keys: readonly KeyInfo[]; readonly ignored: readonly Ignored[] } {
  const keys = new Map<KeyId, KeyInfo>();
  const ignored: Ignored[] = [...(inTokens?.ignored ?? [])];
  for (const info of [...(inTokens?.keys ?? []), ...inFiles.keys]) {
    const other = keys.get(info.id);
    if (other?.origin === 'preloaded') {
      ignored.push({ label: info.id, reason: 'its id is that of a preloaded key' });
      continue;
    }
    if (other !== undefined) {
      ignored.push({ label: info.id, reason: 'its id is that of a key in a file' });
    }
    keys.set(info.id, info);
  }
  return { keys: [...keys.values()], ignored };
}

function fits(
  info: KeyInfo,
  made: { readonly algorithms: readonly Algorithm[]; readonly origin: KeyInfo['origin'] },
  wanted: NewKey,
): boolean {
  return (
    info.state === 'ok' &&
    info.algorithm !== undefined &&
    made.algorithms.includes(info.algorithm) &&
    sameUsages(info.usages, wanted.usages) &&
    info.exportable === wanted.exportable &&
    info.exportDerived === wanted.exportDerived &&
    info.origin === made.origin &&
    (wanted.store === undefined || wanted.store === info.store)
  );
}

function preloaded(id: KeyId): ServiceError {
  return notSupported(`key "${id}" is preloaded: the configuration has it`);
}
