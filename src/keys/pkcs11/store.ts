import type { Mechanism } from 'pkcs11js';
import { ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { PairAlgorithm, SymmetricAlgorithm } from '../algorithm.ts';
import { unpadOaep } from '../crypto/oaep.ts';
import type { SignRequest } from '../mechanism.ts';
import type {
  CipherRequest,
  KeyAttributes,
  KeyInfo,
  KeyStore,
  Listing,
  Material,
} from '../store.ts';
import { KeyCache, type KeyCacheOptions } from './key-cache.ts';
import { isNotDecrypted } from './library/ckr.ts';
import { CKM } from './library/constants.ts';
import { InlinePolicy } from './library/inline-policy.ts';
import type { KeyObject } from './library/objects.ts';
import type { Operation, Session } from './library/session.ts';
import { gcm, tokenSignature } from './library/token-mechanism.ts';
import type { Token, TokenListener } from './token.ts';
import { type TokenLayout, TokenRegistry } from './token-registry.ts';
import { TokenWriter } from './token-writer.ts';

/** What the store is made of. */
export interface Pkcs11StoreOptions extends TokenLayout, KeyCacheOptions {}

/** Keys in PKCS#11 tokens. */
export class Pkcs11Store implements KeyStore {
  readonly kind = 'pkcs11';
  readonly #registry: TokenRegistry;
  readonly #cache: KeyCache;
  readonly #writer: TokenWriter | undefined;
  readonly #policies = new Map<KeyId, InlinePolicy>();

  /** Connects to nothing yet: tokens are connected when they are first used. */
  constructor(options: Pkcs11StoreOptions) {
    this.#registry = new TokenRegistry(options);
    this.#cache = new KeyCache(this.#registry, options);
    const { base } = this.#registry;
    this.#writer = base && new TokenWriter(base, this.#cache);
  }

  /** Tells when a token cannot be used, why, and when it can be again. */
  onTokenChange(listener: TokenListener): void {
    this.#registry.onTokenChange(listener);
  }

  /** Never fails: what cannot be seen now is listed as unavailable, as far as it is known. */
  async list(signal: AbortSignal): Promise<Listing> {
    return await this.#cache.list((stop) => this.#writer?.settle(stop), signal);
  }

  /** Whether the configuration gives this id to a key in a token. */
  reserves(id: KeyId): boolean {
    return this.#registry.selectorOf(id) !== undefined;
  }

  /** Whether there was such a key when it was last looked for, or the configuration says that there is one. */
  knows(id: KeyId): boolean {
    return this.reserves(id) || this.#cache.has(id);
  }

  /** Whether a listing that is not old shows that there is no such key; answered without the token. */
  lacks(id: KeyId): boolean {
    return this.#cache.lacks(id);
  }

  async describe(id: KeyId, signal: AbortSignal): Promise<KeyInfo | undefined> {
    return await this.#cache.describe(id, signal);
  }

  async sign(id: KeyId, request: SignRequest, signal: AbortSignal): Promise<Buffer> {
    const inline = this.#policyOf(id);
    return await this.#useKey('sign with', id, signal, async (session, object, token) => {
      const { mechanism, input, finish } = tokenSignature(object.algorithm, request);
      const operation = { ...operationOf(object, token, mechanism), inline };
      return finish(await session.sign(operation, input));
    });
  }

  async encrypt(
    id: KeyId,
    plain: Buffer,
    { nonce, aad }: CipherRequest,
    signal: AbortSignal,
  ): Promise<Buffer> {
    return await this.#useKey('encrypt with', id, signal, (session, object, token) =>
      session.encrypt(operationOf(object, token, gcm(nonce, aad)), plain),
    );
  }

  async decrypt(
    id: KeyId,
    sealed: Buffer,
    { nonce, aad }: CipherRequest,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    return await this.#decrypt(id, gcm(nonce, aad), sealed, signal);
  }

  async decryptOaep(id: KeyId, block: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    const padded = await this.#decrypt(id, { mechanism: CKM.RSA_X_509 }, block, signal);
    const message = padded && unpadOaep(padded);
    padded?.fill(0);
    return message;
  }

  async exportKey(id: KeyId): Promise<Buffer> {
    throw notSupported(`key "${id}" never leaves its token`);
  }

  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.createPair(id, { algorithms, attributes }, signal);
    return await this.#created(id, signal);
  }

  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.createSymmetric(id, { algorithm, attributes }, signal);
    return await this.#created(id, signal);
  }

  async importKey(
    id: KeyId,
    material: Material,
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo> {
    const writer = this.#writable(attributes);
    await writer.importKey(id, { material, attributes }, signal);
    return await this.#created(id, signal);
  }

  async deleteKey(id: KeyId, signal: AbortSignal): Promise<void> {
    if (this.reserves(id)) throw notSupported(`key "${id}" is preloaded`);
    if (this.#writer === undefined) throw notFound(id);
    await this.#writer.deleteKey(id, signal);
    this.#cache.forget(id);
    this.#policies.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry[Symbol.asyncDispose]();
  }

  async #decrypt(
    id: KeyId,
    mechanism: Mechanism,
    input: Buffer,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    return await this.#useKey('decrypt with', id, signal, async (session, object, token) => {
      try {
        return await session.decrypt(operationOf(object, token, mechanism), input);
      } catch (error) {
        if (!isNotDecrypted(error)) throw error;
        token.confirmAbsence(session);
        return undefined;
      }
    });
  }

  async #useKey<T>(
    verb: string,
    id: KeyId,
    signal: AbortSignal,
    work: (session: Session, object: KeyObject, token: Token) => Promise<T>,
  ): Promise<T> {
    const token = this.#registry.tokenOf(id);
    if (token === undefined) throw notFound(id);
    return await token.use(
      () => `cannot ${verb} key "${id}"`,
      async (session) => {
        const { info, object } = (await this.#cache.find(session, id, token)) ?? {};
        if (info === undefined) throw notFound(id);
        if (object === undefined || info.state !== 'ok') {
          throw new ServiceError('Unavailable', `key "${id}" is unusable: ${info.reason}`);
        }
        return await work(session, object, token);
      },
      signal,
    );
  }

  async #created(id: KeyId, signal: AbortSignal): Promise<KeyInfo> {
    const info = await this.#cache.refresh(id, signal);
    if (info === undefined) throw new ServiceError('Unavailable', `key "${id}" vanished`);
    return info;
  }

  #policyOf(id: KeyId): InlinePolicy {
    const inline = this.#policies.get(id) ?? new InlinePolicy();
    // only keys that are there: the ids are the callers'.
    if (this.#cache.has(id)) this.#policies.set(id, inline);
    return inline;
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

function operationOf(
  { handle, alwaysAuthenticate }: KeyObject,
  token: Token,
  mechanism: Mechanism,
): Operation {
  const login = alwaysAuthenticate
    ? (session: Session) => token.logInForOperation(session)
    : undefined;
  return { mechanism, key: handle, login };
}

function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

function notSupported(reason: string): ServiceError {
  return new ServiceError('NotSupported', reason);
}
