import { isServiceError, type ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { Usage } from '../algorithm.ts';
import type { Ignored, KeyInfo, Listing } from '../store.ts';
import { toServiceError } from './library/ckr.ts';
import type { Session } from './library/session.ts';
import type { TokenKeyRecords } from './records.ts';
import type { Token } from './token.ts';
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

interface Entry extends TokenKey {
  readonly generation: number;
}

/** For so long a listing says which keys are not there; those that others make may take 30 s to be seen. */
const listingCountsMs = 20_000;

/** The keys of all tokens as they were last seen: handles are found once and kept while they live. */
export class KeyCache {
  readonly metadata: KeyMetadata;
  readonly reader: TokenReader;
  readonly #registry: TokenRegistry;
  readonly #entries = new Map<KeyId, Entry>();
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
  async describe(id: KeyId, signal: AbortSignal): Promise<KeyInfo | undefined> {
    const token = this.#registry.tokenOf(id);
    return (token && this.#living(id, token)?.info) ?? (await this.refresh(id, signal));
  }

  /** A key and its handle, looked for in a session when it does not live. */
  async find(session: Session, id: KeyId, token: Token): Promise<TokenKey | undefined> {
    return this.#living(id, token) ?? (await this.#lookUp(session, id, token));
  }

  /** A key as its token has it now. */
  async refresh(id: KeyId, signal: AbortSignal): Promise<KeyInfo | undefined> {
    const token = this.#registry.tokenOf(id);
    const key = await token?.use(
      () => `cannot look for key "${id}"`,
      (session) => this.#lookUp(session, id, token),
      signal,
    );
    return key?.info;
  }

  /** Forgets a key that was deleted. */
  forget(id: KeyId): void {
    this.#entries.delete(id);
  }

  #living(id: KeyId, token: Token): Entry | undefined {
    const known = this.#entries.get(id);
    return known !== undefined && token.holds(known.generation) ? known : undefined;
  }

  async #lookUp(session: Session, id: KeyId, token: Token): Promise<TokenKey | undefined> {
    const selector = this.#registry.selectorOf(id);
    const look = (context: ReadContext) => {
      if (selector === undefined) return lookUp(session, id, context).key;
      const usages = this.metadata.usages.get(id);
      return preloadedKey(session, id, { selector, usages, proofs: context.proofs });
    };
    return await this.reader.read({ session, token }, look, (key) => {
      if (key?.object === undefined) token.confirmAbsence(session);
      if (key === undefined) this.#entries.delete(id);
      else this.#entries.set(id, { ...key, generation: token.generation });
      return key;
    });
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
            for (const id of this.#entries.keys()) {
              if (this.#registry.selectorOf(id) === undefined) this.#entries.delete(id);
            }
            const { generation } = token;
            for (const key of keys) this.#entries.set(key.info.id, { ...key, generation });
            this.#ignored = ignored;
            this.#listed = { generation, at: performance.now() };
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
      this.#entries.set(id, { ...unavailable(id, failure.message, known), generation: 0 });
    }
    return failure;
  }
}
