import type { Cancellation } from '../cancellation.ts';
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
import { Changes, waitWhile } from './changes.ts';
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

/** The usual timeout of D-Bus clients. */
const publicReadMs = 25_000;

/** How long changes and listings may take before stores are replaced. */
const replaceTimeoutMs = 20_000;

/** The behaviour when the id of a new key exists already. */
export type IfExists = 'fail' | 'keep' | 'replace';

/** The options of a new key. */
export interface NewKey extends KeyAttributes {
  readonly ifExists: IfExists;
  /** Undefined for the default store. */
  readonly store: StoreKind | undefined;
}

/**
 * The keys of all stores under one set of ids: which store holds an id, and the rules for creating and deleting
 * keys. Changes of one id run in order.
 */
export class KeyService {
  #stores: Stores;
  readonly #catalog: KeyCatalog;
  readonly #changes = new Changes();
  #ignored: readonly Ignored[] = [];
  #revision = 0;
  #refreshing: Promise<void> | undefined;
  /** By id: every user may call, and a call may have to query a token. */
  readonly #publicReads: SharedReads<Key | undefined>;
  /** Listings of all stores on behalf of unknown ids. */
  readonly #listings: SharedReads<void>;
  /** Why the last listing of the token failed. */
  #listFailure: ServiceError | undefined;

  constructor(stores: Stores, catalog: KeyCatalog, elapsedMs = () => performance.now()) {
    this.#stores = stores;
    this.#catalog = catalog;
    this.#publicReads = new SharedReads({ elapsedMs });
    this.#listings = new SharedReads({ elapsedMs });
  }

  /** Objects of the stores that are not published, and why. */
  get ignored(): readonly Ignored[] {
    return this.#ignored;
  }

  /** Whether keys are being created or deleted. */
  get isChanging(): boolean {
    return this.#changes.size > 0;
  }

  /**
   * Replaces the stores. Pending changes finish before the new stores are opened, and new changes wait;
   * Unavailable, without replacing anything, when they take too long.
   */
  async replaceStores(
    open: () => Promise<Stores>,
    close: (stores: Stores) => Promise<void>,
  ): Promise<Stores> {
    return this.#changes.hold(async () => {
      const end = performance.now() + replaceTimeoutMs;
      await waitWhile(() => this.isChanging, end);
      const stores = await open();
      await this.#refreshedBefore(end, () => close(stores));
      this.#stores = stores;
      this.#revision++;
      this.#publicReads.evictAll();
      return stores;
    });
  }

  async #refreshedBefore(end: number, rollback: () => Promise<void>): Promise<void> {
    try {
      await waitWhile(() => this.#refreshing !== undefined, end);
    } catch (error) {
      await rollback();
      throw error;
    }
  }

  /** Publishes at once why a token is unusable; `refresh` publishes all other changes. */
  tokenChanged(failure: unknown): void {
    this.#revision++;
    this.#publicReads.evictAll();
    if (isServiceError(failure)) this.#catalog.setFailure(failure.message);
  }

  /** Lists all stores and publishes the changes, including those of other processes. */
  async refresh(signal: Cancellation): Promise<void> {
    this.#refreshing ??= this.#refreshNow(signal);
    await this.#refreshing;
  }

  /** Returns the key of an id. NotFound when no store holds it, Unavailable when a store that may hold it fails. */
  async require(id: KeyId, signal: Cancellation): Promise<Key> {
    const key = await this.#find(id, signal);
    if (key === undefined) throw notFound(id);
    return key;
  }

  /**
   * Returns the public half of a pair. Every user may call this, so no token is searched for an id that does not
   * exist, and concurrent calls for one key share the result.
   */
  async publicKey(id: KeyId): Promise<Buffer> {
    if (!(await this.#mayExist(id))) throw notFound(id);
    const key = await this.#publicReads.get(id, () => this.#find(id, publicSignal()));
    if (key === undefined) throw notFound(id);
    const { info } = key;
    if (info.spki !== undefined) return info.spki;
    if (info.state !== 'ok') throw unusable(info);
    throw notSupported(`key "${id}" is symmetric`);
  }

  /** Creates a pair of the first algorithm of the list that the store supports. */
  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    wanted: NewKey,
    signal: Cancellation,
  ): Promise<void> {
    await this.#change(id, async () => {
      const found = (await this.#find(id, signal))?.info;
      if (this.#shouldKeep(found, { id, algorithms, origin: 'generated' }, wanted)) return;
      const store = this.#store(wanted.store ?? this.#stores.defaults.pair);
      this.#added(await store.createPair(id, algorithms, wanted, signal));
    });
  }

  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    wanted: NewKey,
    signal: Cancellation,
  ): Promise<void> {
    await this.#change(id, async () => {
      const found = (await this.#find(id, signal))?.info;
      if (this.#shouldKeep(found, { id, algorithms: [algorithm], origin: 'generated' }, wanted))
        return;
      const store = this.#store(wanted.store ?? this.#stores.defaults.symmetric);
      this.#added(await store.createSymmetric(id, algorithm, wanted, signal));
    });
  }

  /** Stores material under an id. */
  async importKey(
    id: KeyId,
    material: Material,
    wanted: NewKey,
    signal: Cancellation,
  ): Promise<void> {
    await this.#change(id, async () => {
      const { algorithm } = material;
      const found = (await this.#find(id, signal))?.info;
      if (this.#shouldKeep(found, { id, algorithms: [algorithm], origin: 'imported' }, wanted))
        return;
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

  async deleteKey(id: KeyId, signal: Cancellation): Promise<void> {
    await this.#change(id, async () => {
      const key = await this.require(id, signal);
      if (key.info.origin === 'preloaded') throw preloaded(id);
      await key.delete(signal);
      this.#catalog.remove(id);
    });
  }

  async #refreshNow(signal: Cancellation): Promise<void> {
    try {
      let revision: number;
      let inFiles: Listing;
      let inTokens: Listing | undefined;
      do {
        // a change during the listing is published already: a listing from before it is stale
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
      // synchronously: a caller that arrives later must not get this older listing
      this.#refreshing = undefined;
    }
  }

  /** Whether to search for a key: one listing a second serves all ids that do not exist. */
  async #mayExist(id: KeyId): Promise<boolean> {
    const { file, pkcs11 } = this.#stores;
    if (pkcs11 === undefined || pkcs11.knows(id) || (await file.get(id)) !== undefined) {
      return true;
    }
    if (pkcs11.lacks(id)) return false;
    await this.#listings.get('', () => this.refresh(unending));
    if (pkcs11.lacks(id)) return false;
    if (pkcs11.knows(id)) return true;
    throw this.#listFailure ?? new ServiceError('Unavailable', 'the token is being listed');
  }

  async #find(id: KeyId, signal: Cancellation): Promise<Key | undefined> {
    const { file, pkcs11 } = this.#stores;
    if (pkcs11?.preloadedIds.has(id)) return pkcs11.get(id, signal);
    let failure: ServiceError | undefined;
    try {
      const key = await file.get(id);
      if (key !== undefined) return key;
    } catch (error) {
      if (!isServiceError(error)) throw error;
      // a key that is found in a token is still usable
      failure = error;
    }
    const key = await pkcs11?.get(id, signal);
    if (key === undefined && failure !== undefined) throw failure;
    return key;
  }

  /** Whether to keep the existing key, because it is as requested; AlreadyExists when it prevents creation. */
  #shouldKeep(
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

  async #change(id: KeyId, change: () => Promise<void>): Promise<void> {
    await this.#changes.run(id, change, () => {
      this.#revision++;
      this.#publicReads.evict(id);
    });
  }
}

/** A listing is for all callers: none of them ends it. */
const unending = new AbortController().signal;

/** A read that callers share must not be cancelled by the caller that started it. */
function publicSignal(): Cancellation {
  return AbortSignal.timeout(publicReadMs);
}

/** The keys of all stores, one of each id, and the objects that are not published. */
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
