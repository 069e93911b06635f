import type { Cancellation } from '../../cancellation.ts';
import { ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { PairAlgorithm, SymmetricAlgorithm } from '../algorithm.ts';
import { notFound, notSupported } from '../errors.ts';
import type { Key, KeyAttributes, KeyInfo, KeyStore, Listing, Material } from '../store.ts';
import { Pkcs11Key } from './key.ts';
import { KeyCache, type KeyCacheOptions } from './key-cache.ts';
import type { TokenListener } from './library/token.ts';
import { type TokenLayout, TokenRegistry } from './token-registry.ts';
import { TokenWriter } from './token-writer.ts';

/** The tokens, records and settings of a store. */
export interface Pkcs11StoreOptions extends TokenLayout, KeyCacheOptions {}

/** Keys in PKCS#11 tokens. */
export class Pkcs11Store implements KeyStore {
  readonly kind = 'pkcs11';
  /** The ids that the configuration gives to keys in tokens. */
  readonly preloadedIds: ReadonlySet<KeyId>;
  readonly #registry: TokenRegistry;
  readonly #cache: KeyCache;
  readonly #writer: TokenWriter | undefined;

  /** Does not connect: tokens are connected on first use. */
  constructor(options: Pkcs11StoreOptions) {
    this.preloadedIds = new Set(options.preloaded.keys());
    this.#registry = new TokenRegistry(options);
    this.#cache = new KeyCache(this.#registry, options);
    const { base } = this.#registry;
    this.#writer = base && new TokenWriter(base, this.#cache);
  }

  /** Reports when a token becomes unusable, why, and when it is usable again. */
  onTokenChange(listener: TokenListener): void {
    this.#registry.onTokenChange(listener);
  }

  /** Never fails: known keys that are unreadable now are listed as unavailable. */
  list(signal: Cancellation): Promise<Listing> {
    return this.#cache.list((stop) => this.#writer?.settle(stop), signal);
  }

  /** Whether the key is preloaded, or existed when last read. */
  knows(id: KeyId): boolean {
    return this.preloadedIds.has(id) || this.#cache.has(id);
  }

  /** Whether a recent listing shows that the key does not exist; does not query the token. */
  lacks(id: KeyId): boolean {
    return this.#cache.lacks(id);
  }

  async get(id: KeyId, signal: Cancellation): Promise<Key | undefined> {
    const cached = await this.#cache.get(id, signal);
    return cached && new Pkcs11Key(cached, this.#cache, this.#delete);
  }

  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.createPair(id, algorithms, attributes, signal);
    return this.#created(id, signal);
  }

  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.createSymmetric(id, algorithm, attributes, signal);
    return this.#created(id, signal);
  }

  async importKey(
    id: KeyId,
    material: Material,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.importKey(id, material, attributes, signal);
    return this.#created(id, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#registry[Symbol.dispose]();
  }

  readonly #delete = async ({ info: { id } }: Key, signal: Cancellation): Promise<void> => {
    if (this.preloadedIds.has(id)) throw notSupported(`key "${id}" is preloaded`);
    if (this.#writer === undefined) throw notFound(id);
    await this.#writer.deleteKey(id, signal);
    this.#cache.evict(id);
  };

  async #created(id: KeyId, signal: Cancellation): Promise<KeyInfo> {
    const key = await this.#cache.refresh(id, signal);
    if (key === undefined) throw new ServiceError('Unavailable', `key "${id}" vanished`);
    return key.info;
  }

  #writable(attributes: KeyAttributes): TokenWriter {
    if (this.#writer === undefined) {
      throw notSupported('no token for keys of the service is configured');
    }
    if (attributes.exportable) {
      throw notSupported('a key in a token is never exportable; store "file" makes one that is');
    }
    return this.#writer;
  }
}
