import type { Cancellation } from '../../cancellation.ts';
import { isServiceError, type ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { Usage } from '../algorithm.ts';
import type { Ignored, Listing } from '../store.ts';
import { isInterrupted, toServiceError } from './library/ckr.ts';
import type { Token } from './library/token.ts';
import type { TokenSessions } from './library/token-sessions.ts';
import { TokenReader } from './reading/token-reader.ts';
import type { ObjectView } from './reading/token-view.ts';
import { RecentChanges } from './recent-changes.ts';
import type { TokenKeyRecords } from './records.ts';
import {
  type KeyMetadata,
  listAll,
  lookUp,
  preloadedKey,
  type ReadContext,
  type TokenKey,
  unavailable,
} from './token-keys.ts';
import type { TokenRegistry } from './token-registry.ts';

/** Sources about keys besides the tokens. */
export interface KeyCacheOptions {
  readonly usages: ReadonlyMap<KeyId, readonly Usage[]>;
  readonly records: TokenKeyRecords;
}

/** A key as last read from its token. */
export interface CachedKey extends TokenKey {
  readonly token: Token;
  /** The generation of the token in which its handle was found. */
  readonly generation: number;
}

/** How long a listing proves that a key is missing; keys of other processes may take 30 s to appear. */
const listingValidMs = 20_000;
/** The generation of a token that was never connected: handles of it are always invalid. */
const neverLive = 0;

/** Caches the keys of all tokens, with their handles as long as these are valid. */
export class KeyCache {
  readonly metadata: KeyMetadata;
  readonly reader: TokenReader;
  readonly #registry: TokenRegistry;
  readonly #entries = new Map<KeyId, CachedKey>();
  #ignored: readonly Ignored[] = [];
  #listed = { generation: 0, at: -Infinity };
  readonly #changes = new RecentChanges();

  constructor(registry: TokenRegistry, { records, usages }: KeyCacheOptions) {
    this.#registry = registry;
    this.metadata = { records, usages, reserved: (object) => registry.reservation(object) };
    this.reader = new TokenReader(this.metadata);
  }

  /** Lists all keys after `settle` has recovered the base slot. Never fails: unreadable keys are unavailable. */
  async list(
    settle: (signal: Cancellation) => Promise<void> | undefined,
    signal: Cancellation,
  ): Promise<Listing> {
    const failures: ServiceError[] = [];
    const withListing = new Set<KeyId>();
    try {
      await settle(signal);
      for (const id of await this.#listBase(signal)) withListing.add(id);
    } catch (error) {
      // then what is known is as good as before, and the next listing soon
      if (!isInterrupted(error))
        failures.push(this.#markUnavailable([...this.#entries.keys()], error));
    }
    for (const id of this.#registry.preloadedIds) {
      if (withListing.has(id)) continue;
      try {
        await this.refresh(id, signal);
      } catch (error) {
        if (!isInterrupted(error)) failures.push(this.#markUnavailable([id], error));
      }
    }
    const keys = [...this.#entries.values()].map(({ info }) => info);
    return { keys, ignored: this.#ignored, failure: failures[0] };
  }

  /** Whether the key existed when last read. */
  has(id: KeyId): boolean {
    return this.#entries.has(id);
  }

  /** Whether a recent listing shows that the key does not exist; does not query the token. */
  lacks(id: KeyId): boolean {
    if (this.#registry.selectorOf(id) !== undefined || this.has(id)) return false;
    const { generation, at } = this.#listed;
    const isRecent = performance.now() - at < listingValidMs;
    return isRecent && this.#registry.base?.holds(generation) === true;
  }

  /** Returns a key; searches for it only when its handle is invalid. */
  async get(id: KeyId, signal: Cancellation): Promise<CachedKey | undefined> {
    const cached = this.#entries.get(id);
    return cached !== undefined && isLive(cached) ? cached : this.refresh(id, signal);
  }

  /** As `get`, in sessions of its token. */
  async find(
    sessions: TokenSessions,
    id: KeyId,
    { token, signal }: { readonly token: Token; readonly signal: Cancellation },
  ): Promise<CachedKey | undefined> {
    const cached = this.#entries.get(id);
    if (cached !== undefined && isLive(cached)) return cached;
    return this.#lookUp(sessions, id, { token, signal });
  }

  /** Reads a key again. */
  async refresh(id: KeyId, signal: Cancellation): Promise<CachedKey | undefined> {
    const token = this.#registry.tokenOf(id);
    return token?.use(
      () => `cannot look for key "${id}"`,
      (sessions) => this.#lookUp(sessions, id, { token, signal }),
    );
  }

  evict(id: KeyId): void {
    this.#changes.record(id);
    this.#entries.delete(id);
  }

  async #lookUp(
    sessions: TokenSessions,
    id: KeyId,
    { token, signal }: { readonly token: Token; readonly signal: Cancellation },
  ): Promise<CachedKey | undefined> {
    const since = this.#changes.begin();
    try {
      const find = (view: ObjectView, context: ReadContext) => this.#readKey(view, id, context);
      const { found, generation } = await this.reader.read({ sessions, token }, find, signal);
      if (found?.object === undefined) await token.confirmAbsence();
      if (this.#changes.has(id, since)) return this.#entries.get(id);
      return this.#put(id, found && { ...found, token, generation });
    } finally {
      this.#changes.end();
    }
  }

  #readKey(view: ObjectView, id: KeyId, context: ReadContext): TokenKey | undefined {
    const selector = this.#registry.selectorOf(id);
    if (selector === undefined) return lookUp(view, id, context).key;
    const usages = this.metadata.usages.get(id);
    return preloadedKey(view, id, { selector, usages, proofs: context.proofs });
  }

  #put(id: KeyId, key: CachedKey | undefined): CachedKey | undefined {
    if (key !== undefined || this.#entries.has(id)) this.#changes.record(id);
    if (key === undefined) this.#entries.delete(id);
    else this.#entries.set(id, key);
    return key;
  }

  /** Lists the keys of the base slot, and those in it that are preloaded; returns the ids of these. */
  async #listBase(signal: Cancellation): Promise<readonly KeyId[]> {
    const token = this.#registry.base;
    if (token === undefined) return [];
    const preloaded = [...this.#registry.preloadedIds].filter(
      (id) => this.#registry.tokenOf(id) === token,
    );
    const find = (view: ObjectView, context: ReadContext) => {
      const { keys, ignored } = listAll(view, context);
      const named = preloaded.map((id) => this.#readKey(view, id, context));
      return { keys: [...keys, ...named.filter((key) => key !== undefined)], ignored };
    };
    await token.use(
      () => 'cannot list keys',
      async (sessions) => {
        const since = this.#changes.begin();
        try {
          const read = await this.reader.read({ sessions, token }, find, signal);
          await token.confirmAbsence();
          this.#putListing(read.found, { token, generation: read.generation, since });
        } finally {
          this.#changes.end();
        }
      },
    );
    return preloaded;
  }

  /** Replaces all entries but those that have changed since: of these the listing is out of date. */
  #putListing(
    { keys, ignored }: { readonly keys: readonly TokenKey[]; readonly ignored: readonly Ignored[] },
    read: { readonly token: Token; readonly generation: number; readonly since: number },
  ): void {
    const { token, generation, since } = read;
    const listed = new Set(keys.map(({ info }) => info.id));
    for (const id of this.#entries.keys()) {
      const isPreloaded = this.#registry.selectorOf(id) !== undefined;
      const isGone = !isPreloaded && !listed.has(id);
      if (isGone && !this.#changes.has(id, since)) this.#put(id, undefined);
    }
    for (const key of keys) {
      const { id } = key.info;
      if (!this.#changes.has(id, since)) this.#put(id, { ...key, token, generation });
    }
    this.#ignored = ignored;
    this.#listed = { generation, at: performance.now() };
  }

  /** Marks keys as unavailable for a reason; returns the reason, or throws it when callers may not see it. */
  #markUnavailable(ids: readonly KeyId[], error: unknown): ServiceError {
    const failure = toServiceError(error, 'PKCS#11');
    if (!isServiceError(failure)) throw failure;
    for (const id of ids) {
      const known = this.#entries.get(id)?.info;
      if (known?.origin === 'preloaded' && ids.length > 1) continue;
      const token = this.#registry.tokenOf(id);
      if (token === undefined) continue;
      this.#put(id, { ...unavailable(id, failure.message, known), token, generation: neverLive });
    }
    return failure;
  }
}

function isLive({ token, generation }: CachedKey): boolean {
  return token.holds(generation);
}
