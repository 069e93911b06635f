import { hash } from 'node:crypto';
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
import type {
  Ignored,
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

/** A key and the store that holds it. */
export interface HeldKey {
  readonly info: KeyInfo;
  readonly store: KeyStore;
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
  readonly #publicReads: SharedReads<HeldKey | undefined>;
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
  async require(id: KeyId, signal: AbortSignal): Promise<HeldKey> {
    const held = await this.#locate(id, signal);
    if (held === undefined) throw notFound(id);
    return held;
  }

  /**
   * The public half of a pair. Everybody may ask, so no token is searched for an id that nobody has, and those
   * who ask about one key at the same time share the answer.
   */
  async publicKey(id: KeyId): Promise<Buffer> {
    if (!(await this.#mayBeThere(id))) throw notFound(id);
    const held = await this.#publicReads.get(id, () => this.#locate(id, publicSignal()));
    if (held === undefined) throw notFound(id);
    const { info } = held;
    if (info.spki !== undefined) return info.spki;
    if (info.state !== 'ok') throw unusable(info);
    throw new ServiceError('NotSupported', `key "${id}" is symmetric`);
  }

  /** Makes a pair of the first algorithm of the list that the store can make. */
  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    wanted: NewKey,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#alone(id, async () => {
      const held = await this.#locate(id, signal);
      if (this.#keeps(held, { id, algorithms, origin: 'generated' }, wanted)) return;
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
      const held = await this.#locate(id, signal);
      if (this.#keeps(held, { id, algorithms: [algorithm], origin: 'generated' }, wanted)) return;
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
      const held = await this.#locate(id, signal);
      if (this.#keeps(held, { id, algorithms: [algorithm], origin: 'imported' }, wanted)) return;
      const { defaults } = this.#stores;
      const usual = isPairAlgorithm(algorithm) ? defaults.pair : defaults.symmetric;
      const kind = wanted.store ?? held?.store.kind ?? usual;
      if (held !== undefined && held.store.kind !== kind) {
        const message = `key "${id}" is in store ${held.store.kind}: it cannot be replaced in ${kind}`;
        throw new ServiceError('NotSupported', message);
      }
      this.#added(await this.#store(kind).importKey(id, material, wanted, signal));
    });
  }

  /** Removes a key. */
  async deleteKey(id: KeyId, signal: AbortSignal): Promise<void> {
    await this.#alone(id, async () => {
      const { store, info } = await this.require(id, signal);
      if (info.origin === 'preloaded') throw preloaded(id);
      await store.deleteKey(id, signal);
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
    if (pkcs11 === undefined || pkcs11.knows(id) || (await file.describe(id)) !== undefined) {
      return true;
    }
    if (pkcs11.lacks(id)) return false;
    await this.#looks.get('', () => this.refresh(publicSignal()));
    if (pkcs11.lacks(id)) return false;
    if (pkcs11.knows(id)) return true;
    throw this.#listFailure ?? new ServiceError('Unavailable', 'the token is being looked at');
  }

  async #locate(id: KeyId, signal: AbortSignal): Promise<HeldKey | undefined> {
    const { file, pkcs11 } = this.#stores;
    let failure: ServiceError | undefined;
    if (pkcs11?.reserves(id) !== true) {
      try {
        const info = await file.describe(id);
        if (info !== undefined) return { info, store: file };
      } catch (error) {
        if (!isServiceError(error)) throw error;
        // a key that is found in a token is served all the same
        failure = error;
      }
    }
    const info = await pkcs11?.describe(id, signal);
    if (pkcs11 !== undefined && info !== undefined) return { info, store: pkcs11 };
    if (failure !== undefined) throw failure;
    return undefined;
  }

  /** Whether the key that is there is the one that is wanted; AlreadyExists when it is in the way. */
  #keeps(
    held: HeldKey | undefined,
    made: {
      readonly id: KeyId;
      readonly algorithms: readonly Algorithm[];
      readonly origin: KeyInfo['origin'];
    },
    wanted: NewKey,
  ): boolean {
    if (held === undefined) return false;
    const { info } = held;
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
    throw new ServiceError('NotSupported', 'no token is configured');
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

/** NotFound when the caller names another public key: the key was replaced. InvalidArgs for what is no SHA-256. */
export function checkPublicKey({ id, spki }: KeyInfo, digest: Buffer | undefined): void {
  if (digest === undefined) return;
  if (digest.length !== 32) {
    throw new ServiceError('InvalidArgs', 'public_key is a SHA-256: it has 32 bytes');
  }
  if (spki === undefined || !hash('sha256', spki, 'buffer').equals(digest)) {
    throw new ServiceError('NotFound', `key "${id}" was replaced`);
  }
}

/** The failure of using a key that is damaged or unavailable. */
export function unusable({ id, state, reason }: KeyInfo): ServiceError {
  return new ServiceError('Unavailable', `key "${id}" is ${state}: ${reason ?? 'unknown reason'}`);
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

function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

function preloaded(id: KeyId): ServiceError {
  return new ServiceError('NotSupported', `key "${id}" is preloaded: the configuration has it`);
}
