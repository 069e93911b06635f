import { isServiceError, type ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { Usage } from '../algorithm.ts';
import type { Ignored, Listing } from '../store.ts';
import { toServiceError } from './library/ckr.ts';
import { InlinePolicy } from './library/inline-policy.ts';
import type { Session } from './library/session.ts';
import type { Token } from './library/token.ts';
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
import { TokenReader } from './token-reader.ts';
import type { TokenRegistry } from './token-registry.ts';

/** What is known of keys whatever the tokens say. */
export interface KeyCacheOptions {
  readonly usages: ReadonlyMap<KeyId, readonly Usage[]>;
  readonly records: TokenKeyRecords;
}

/** A key as its token showed it last. */
export interface CachedKey extends TokenKey {
  readonly token: Token;
  /** In which generation of the token its handle was found. */
  readonly generation: number;
  /** How fast the token works with it. */
  readonly inline: InlinePolicy;
}

/** For so long a listing says which keys are not there; those that others make may take 30 s to be seen. */
const listingCountsMs = 20_000;
/** The generation of a token that was never connected. */
const neverLive = 0;

/** The keys of all tokens as they were last seen: handles are found once and kept while they live. */
export class KeyCache {
  readonly metadata: KeyMetadata;
  readonly reader: TokenReader;
  readonly #registry: TokenRegistry;
  readonly #entries = new Map<KeyId, CachedKey>();
  #ignored: readonly Ignored[] = [];
  #listed = { generation: 0, at: -Infinity };

  constructor(registry: TokenRegistry, { records, usages }: KeyCacheOptions) {
    this.#registry = registry;
    this.metadata = { records, usages, reserved: (object) => registry.reservation(object) };
    this.reader = new TokenReader(this.metadata);
  }

  /** All keys, after `settle` has put the base slot in order. Never fails: what cannot be seen is unavailable. */
  async list(
    settle: (signal: AbortSignal) => Promise<void> | undefined,
    signal: AbortSignal,
  ): Promise<Listing> {
    const failures: ServiceError[] = [];
    try {
      await settle(signal);
      await this.#listBase(signal);
    } catch (error) {
      failures.push(this.#obscure([...this.#entries.keys()], error));
    }
    for (const id of this.#registry.preloadedIds) {
      try {
        await this.refresh(id, signal);
      } catch (error) {
        failures.push(this.#obscure([id], error));
      }
    }
    const keys = [...this.#entries.values()].map(({ info }) => info);
    return { keys, ignored: this.#ignored, failure: failures[0] };
  }

  /** Whether there was such a key when it was last looked for. */
  has(id: KeyId): boolean {
    return this.#entries.has(id);
  }

  /** Whether a listing that is not old shows that there is no such key; answered without the token. */
  lacks(id: KeyId): boolean {
    if (this.#registry.selectorOf(id) !== undefined || this.has(id)) return false;
    const { generation, at } = this.#listed;
    const isRecent = performance.now() - at < listingCountsMs;
    return isRecent && this.#registry.base?.holds(generation) === true;
  }

  /** A key, looked for only when its handle does not live. */
  async get(id: KeyId, signal: AbortSignal): Promise<CachedKey | undefined> {
    const cached = this.#entries.get(id);
    return cached !== undefined && isLive(cached) ? cached : this.refresh(id, signal);
  }

  /** A key and its handle, looked for in a session when it does not live. */
  async find(session: Session, id: KeyId, token: Token): Promise<CachedKey | undefined> {
    const cached = this.#entries.get(id);
    return cached !== undefined && isLive(cached) ? cached : this.#lookUp(session, id, token);
  }

  /** A key as its token has it now. */
  async refresh(id: KeyId, signal: AbortSignal): Promise<CachedKey | undefined> {
    const token = this.#registry.tokenOf(id);
    return token?.use(
      () => `cannot look for key "${id}"`,
      (session) => this.#lookUp(session, id, token),
      signal,
    );
  }

  /** Removes a key that was deleted. */
  evict(id: KeyId): void {
    this.#entries.delete(id);
  }

  #lookUp(session: Session, id: KeyId, token: Token): Promise<CachedKey | undefined> {
    const selector = this.#registry.selectorOf(id);
    const look = (context: ReadContext) => {
      if (selector === undefined) return lookUp(session, id, context).key;
      const usages = this.metadata.usages.get(id);
      return preloadedKey(session, id, { selector, usages, proofs: context.proofs });
    };
    return this.reader.read({ session, token }, look, (key) => {
      if (key?.object === undefined) token.confirmAbsence(session);
      if (key !== undefined) return this.#put(key, token);
      this.#entries.delete(id);
      return undefined;
    });
  }

  #put(key: TokenKey, token: Token, generation = token.generation): CachedKey {
    const { id } = key.info;
    const inline = this.#entries.get(id)?.inline ?? new InlinePolicy();
    const cached = { ...key, token, generation, inline };
    this.#entries.set(id, cached);
    return cached;
  }

  async #listBase(signal: AbortSignal): Promise<void> {
    const token = this.#registry.base;
    await token?.use(
      () => 'cannot list keys',
      (session) =>
        this.reader.read(
          { session, token },
          (context) => listAll(session, context),
          ({ keys, ignored }) => {
            token.confirmAbsence(session);
            const listed = new Set(keys.map(({ info }) => info.id));
            for (const id of this.#entries.keys()) {
              const isPreloaded = this.#registry.selectorOf(id) !== undefined;
              if (!isPreloaded && !listed.has(id)) this.#entries.delete(id);
            }
            for (const key of keys) this.#put(key, token);
            this.#ignored = ignored;
            this.#listed = { generation: token.generation, at: performance.now() };
          },
        ),
      signal,
    );
  }

  /** Marks keys as unavailable for a reason, which is answered if callers may see it and thrown if not. */
  #obscure(ids: readonly KeyId[], error: unknown): ServiceError {
    const failure = toServiceError(error, 'PKCS#11');
    if (!isServiceError(failure)) throw failure;
    for (const id of ids) {
      const known = this.#entries.get(id)?.info;
      if (known?.origin === 'preloaded' && ids.length > 1) continue;
      const token = this.#registry.tokenOf(id);
      if (token !== undefined) this.#put(unavailable(id, failure.message, known), token, neverLive);
    }
    return failure;
  }
}

function isLive({ token, generation }: CachedKey): boolean {
  return token.holds(generation);
}
