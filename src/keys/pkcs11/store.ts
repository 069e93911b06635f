import { isServiceError, ServiceError } from '../../errors.ts';
import type { KeyId } from '../../ids.ts';
import type { PairAlgorithm, SymmetricAlgorithm, Usage } from '../algorithm.ts';
import type { SignRequest } from '../mechanism.ts';
import { unpadOaep } from '../oaep.ts';
import type { ObjectSelector } from '../pkcs11-uri.ts';
import type {
  CipherRequest,
  Ignored,
  KeyAttributes,
  KeyInfo,
  KeyStore,
  Listing,
  Material,
} from '../store.ts';
import { CKM } from './constants.ts';
import { ckrName, translate } from './errors.ts';
import { gcm, tokenSignature } from './mechanisms.ts';
import type { KeyObject } from './objects.ts';
import { Pace } from './pace.ts';
import type { PinGuard } from './pin-guard.ts';
import type { TokenKeyRecords } from './records.ts';
import type { Session } from './session.ts';
import { Token, type TokenAddress } from './token.ts';
import {
  isObjectSelected,
  type KeyKnowledge,
  listAll,
  lookUp,
  preloadedKey,
  type TokenKey,
  unavailable,
} from './token-keys.ts';
import { TokenWriter } from './token-writer.ts';

/** A key of a token that the configuration gives an id. */
export interface PreloadedKey {
  readonly token: TokenAddress;
  readonly selector: ObjectSelector;
}

/** What the store is made of. */
export interface Pkcs11StoreOptions {
  /** Where keys are created and found by their label; without it there are the preloaded keys alone. */
  readonly base: TokenAddress | undefined;
  readonly preloaded: ReadonlyMap<KeyId, PreloadedKey>;
  readonly usages: ReadonlyMap<KeyId, readonly Usage[]>;
  readonly records: TokenKeyRecords;
  readonly guard: PinGuard;
}

interface Entry extends TokenKey {
  readonly generation: number;
}

/** What a token may answer when a ciphertext was not made with its key; there is no agreement. */
const NOT_DECRYPTED = new Set([
  'CKR_AEAD_DECRYPT_FAILED',
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_LEN_RANGE',
  'CKR_FUNCTION_FAILED',
  'CKR_GENERAL_ERROR',
  'CKR_SIGNATURE_INVALID',
]);

/** For so long a listing says which keys are not there; those that others make may take 30 s to be seen. */
const LISTING_COUNTS_MS = 20_000;

/** Keys in PKCS#11 tokens. Handles are found once and kept while they live. */
export class Pkcs11Store implements KeyStore {
  readonly kind = 'pkcs11';
  readonly #options: Pkcs11StoreOptions;
  readonly #base: Token | undefined;
  readonly #preloaded = new Map<KeyId, { readonly key: PreloadedKey; readonly token: Token }>();
  readonly #tokens: readonly Token[];
  readonly #entries = new Map<KeyId, Entry>();
  readonly #paces = new Map<KeyId, Pace>();
  readonly #writer: TokenWriter | undefined;
  readonly #knowledge: KeyKnowledge;
  #ignored: readonly Ignored[] = [];
  #listed = { generation: 0, at: -Infinity };

  /** Connects to nothing yet: tokens are connected when they are first used. */
  constructor(options: Pkcs11StoreOptions) {
    this.#options = options;
    const tokens = new Map<string, Token>();
    const tokenAt = (address: TokenAddress): Token => {
      const token = new Token(address, options.guard);
      const name = `${address.module.path}\n${token.name}`;
      const known = tokens.get(name) ?? token;
      tokens.set(name, known);
      return known;
    };
    this.#base = options.base && tokenAt(options.base);
    for (const [id, key] of options.preloaded) {
      this.#preloaded.set(id, { key, token: tokenAt(key.token) });
    }
    this.#tokens = [...tokens.values()];
    const { records, usages } = options;
    this.#knowledge = { records, usages, reserved: (object) => this.#reservation(object) };
    this.#writer = this.#base && new TokenWriter(this.#base, this.#knowledge);
  }

  /** Never fails: what cannot be seen now is listed as unavailable, as far as it is known. */
  async list(signal: AbortSignal): Promise<Listing> {
    const failures: ServiceError[] = [];
    try {
      await this.#writer?.settle(signal);
      await this.#listBase(signal);
    } catch (error) {
      failures.push(this.#obscure([...this.#entries.keys()], error));
    }
    for (const id of this.#preloaded.keys()) {
      try {
        await this.#refresh(id, signal);
      } catch (error) {
        failures.push(this.#obscure([id], error));
      }
    }
    const keys = [...this.#entries.values()].map(({ info }) => info);
    return { keys, ignored: this.#ignored, failure: failures[0] };
  }

  /** Whether the configuration gives this id to a key in a token. */
  reserves(id: KeyId): boolean {
    return this.#preloaded.has(id);
  }

  /** Whether a listing that is not old shows that there is no such key; answered without the token. */
  lacks(id: KeyId): boolean {
    if (this.#preloaded.has(id) || this.#entries.has(id)) return false;
    const { generation, at } = this.#listed;
    return this.#base?.holds(generation) === true && performance.now() - at < LISTING_COUNTS_MS;
  }

  async describe(id: KeyId, signal: AbortSignal): Promise<KeyInfo | undefined> {
    const token = this.#tokenOf(id);
    if (token === undefined) return undefined;
    const known = this.#entries.get(id);
    if (known !== undefined && token.holds(known.generation)) return known.info;
    return await this.#refresh(id, signal);
  }

  async sign(id: KeyId, request: SignRequest, signal: AbortSignal): Promise<Buffer> {
    const pace = this.#paceOf(id);
    return await this.#useKey('sign with', id, signal, async (session, { handle, algorithm }) => {
      const { mechanism, input, finish } = tokenSignature(algorithm, request);
      return finish(await session.sign({ mechanism, key: handle, pace }, input));
    });
  }

  async encrypt(
    id: KeyId,
    plain: Buffer,
    { nonce, aad }: CipherRequest,
    signal: AbortSignal,
  ): Promise<Buffer> {
    return await this.#useKey('encrypt with', id, signal, (session, { handle }) =>
      session.encrypt(gcm(nonce, aad), handle, plain),
    );
  }

  async decrypt(
    id: KeyId,
    sealed: Buffer,
    { nonce, aad }: CipherRequest,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    return await this.#useKey('decrypt with', id, signal, async (session, { handle }, token) => {
      try {
        return await session.decrypt(gcm(nonce, aad), handle, sealed);
      } catch (error) {
        if (!NOT_DECRYPTED.has(ckrName(error) ?? '')) throw error;
        token.confirmAbsence(session);
        return undefined;
      }
    });
  }

  async decryptOaep(id: KeyId, block: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    return await this.#useKey('decrypt with', id, signal, async (session, { handle }, token) => {
      try {
        const padded = await session.decrypt({ mechanism: CKM.RSA_X_509 }, handle, block);
        const message = unpadOaep(padded);
        padded.fill(0);
        return message;
      } catch (error) {
        if (!NOT_DECRYPTED.has(ckrName(error) ?? '')) throw error;
        token.confirmAbsence(session);
        return undefined;
      }
    });
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
    if (this.#preloaded.has(id)) throw notSupported(`key "${id}" is preloaded`);
    if (this.#writer === undefined) throw notFound(id);
    await this.#writer.deleteKey(id, signal);
    this.#entries.delete(id);
    this.#paces.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const token of this.#tokens) await token[Symbol.asyncDispose]();
  }

  async #useKey<T>(
    verb: string,
    id: KeyId,
    signal: AbortSignal,
    work: (session: Session, object: KeyObject, token: Token) => Promise<T>,
  ): Promise<T> {
    const token = this.#tokenOf(id);
    if (token === undefined) throw notFound(id);
    return await token.use(
      () => `cannot ${verb} key "${id}"`,
      async (session) => {
        const { info, object } = this.#find(session, id, token) ?? {};
        if (info === undefined) throw notFound(id);
        if (object === undefined || info.state !== 'ok') {
          throw new ServiceError('Unavailable', `key "${id}" is unusable: ${info.reason}`);
        }
        return await work(session, object, token);
      },
      signal,
    );
  }

  /** What is known of a key while its handle lives, else what the token says. */
  #find(session: Session, id: KeyId, token: Token): TokenKey | undefined {
    const known = this.#entries.get(id);
    if (known !== undefined && token.holds(known.generation)) return known;
    return this.#lookUp(session, id, token);
  }

  #lookUp(session: Session, id: KeyId, token: Token): TokenKey | undefined {
    const preloaded = this.#preloaded.get(id);
    const { selector } = preloaded?.key ?? {};
    const key =
      selector === undefined
        ? lookUp(session, id, this.#knowledge).key
        : preloadedKey(session, id, { selector, usages: this.#options.usages.get(id) });
    if (key?.object === undefined) token.confirmAbsence(session);
    if (key === undefined) this.#entries.delete(id);
    else this.#entries.set(id, { ...key, generation: token.generation });
    return key;
  }

  async #refresh(id: KeyId, signal: AbortSignal): Promise<KeyInfo | undefined> {
    const token = this.#tokenOf(id);
    const key = await token?.use(
      () => `cannot look for key "${id}"`,
      (session) => this.#lookUp(session, id, token),
      signal,
    );
    return key?.info;
  }

  async #created(id: KeyId, signal: AbortSignal): Promise<KeyInfo> {
    const info = await this.#refresh(id, signal);
    if (info === undefined) throw new ServiceError('Unavailable', `key "${id}" vanished`);
    return info;
  }

  async #listBase(signal: AbortSignal): Promise<void> {
    const token = this.#base;
    await token?.use(
      () => 'cannot list keys',
      (session) => {
        const { keys, ignored } = listAll(session, this.#knowledge);
        token.confirmAbsence(session);
        for (const id of this.#entries.keys())
          if (!this.#preloaded.has(id)) this.#entries.delete(id);
        const { generation } = token;
        for (const key of keys) this.#entries.set(key.info.id, { ...key, generation });
        this.#ignored = ignored;
        this.#listed = { generation, at: performance.now() };
      },
      signal,
    );
  }

  /** Marks keys as unavailable for a reason, which is answered if callers may see it and thrown if not. */
  #obscure(ids: readonly KeyId[], error: unknown): ServiceError {
    const failure = translate(error, 'PKCS#11');
    if (!isServiceError(failure)) throw failure;
    for (const id of ids) {
      const known = this.#entries.get(id)?.info;
      if (known?.origin === 'preloaded' && ids.length > 1) continue;
      this.#entries.set(id, { ...unavailable(id, failure.message, known), generation: 0 });
    }
    return failure;
  }

  #paceOf(id: KeyId): Pace {
    const pace = this.#paces.get(id) ?? new Pace();
    // Only keys that are there: the ids are the callers'.
    if (this.#entries.has(id)) this.#paces.set(id, pace);
    return pace;
  }

  #tokenOf(id: KeyId): Token | undefined {
    return this.#preloaded.get(id)?.token ?? this.#base;
  }

  #reservation(object: KeyObject): string | undefined {
    for (const [id, { key, token }] of this.#preloaded) {
      if (id === object.label) return 'its label is the id of a preloaded key';
      const { module, selector } = key.token;
      const here = token === this.#base || this.#base?.isSelectedBy(module, selector);
      if (here && isObjectSelected(object, key.selector)) return `it is the preloaded key "${id}"`;
    }
    return undefined;
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

function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

function notSupported(reason: string): ServiceError {
  return new ServiceError('NotSupported', reason);
}
