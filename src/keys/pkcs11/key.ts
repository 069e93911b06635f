import type { Mechanism } from 'pkcs11js';
import { unpadOaep } from '../crypto/oaep.ts';
import { notFound, notSupported, unusable } from '../errors.ts';
import type { SignRequest } from '../mechanism.ts';
import type { CipherRequest, Key, KeyInfo } from '../store.ts';
import type { CachedKey, KeyCache } from './key-cache.ts';
import { isNotDecrypted } from './library/ckr.ts';
import { CKM } from './library/constants.ts';
import type { InlinePolicy } from './library/inline-policy.ts';
import type { Operation, Session } from './library/session.ts';
import type { Token } from './library/token.ts';
import type { KeyObject } from './objects.ts';
import { gcm, tokenSignature } from './token-mechanism.ts';

/** A key in a token. Each operation searches for its object again when the cached handle is invalid. */
export class Pkcs11Key implements Key {
  readonly info: KeyInfo;
  readonly #token: Token;
  readonly #cache: KeyCache;
  readonly #remove: (key: Pkcs11Key, signal: AbortSignal) => Promise<void>;

  /** `remove` is the store's deletion of the key. */
  constructor(
    { info, token }: Pick<CachedKey, 'info' | 'token'>,
    cache: KeyCache,
    remove: (key: Pkcs11Key, signal: AbortSignal) => Promise<void>,
  ) {
    this.info = info;
    this.#token = token;
    this.#cache = cache;
    this.#remove = remove;
  }

  sign(request: SignRequest, signal: AbortSignal): Promise<Buffer> {
    const work = async (session: Session, object: KeyObject, inline: InlinePolicy) => {
      const { mechanism, input, finish } = tokenSignature(object.algorithm, request);
      const operation = { ...this.#operationOf(object, mechanism), inline };
      return finish(await session.sign(operation, input));
    };
    return this.#use('sign with', work, signal);
  }

  encrypt(plain: Buffer, { nonce, aad }: CipherRequest, signal: AbortSignal): Promise<Buffer> {
    const work = (session: Session, object: KeyObject) =>
      session.encrypt(this.#operationOf(object, gcm(nonce, aad)), plain);
    return this.#use('encrypt with', work, signal);
  }

  async decrypt(
    sealed: Buffer,
    { nonce, aad }: CipherRequest,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    return this.#decrypt(gcm(nonce, aad), sealed, signal);
  }

  async decryptOaep(block: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    const padded = await this.#decrypt({ mechanism: CKM.RSA_X_509 }, block, signal);
    const message = padded && unpadOaep(padded);
    padded?.fill(0);
    return message;
  }

  async export(): Promise<Buffer> {
    throw notSupported(`key "${this.info.id}" never leaves its token`);
  }

  delete(signal: AbortSignal): Promise<void> {
    return this.#remove(this, signal);
  }

  #decrypt(mechanism: Mechanism, input: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
    const work = async (session: Session, object: KeyObject) => {
      try {
        return await session.decrypt(this.#operationOf(object, mechanism), input);
      } catch (error) {
        if (!isNotDecrypted(error)) throw error;
        this.#token.confirmAbsence(session);
        return undefined;
      }
    };
    return this.#use('decrypt with', work, signal);
  }

  #use<T>(
    verb: string,
    work: (session: Session, object: KeyObject, inline: InlinePolicy) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { id } = this.info;
    return this.#token.use(
      () => `cannot ${verb} key "${id}"`,
      async (session) => {
        const found = await this.#cache.find(session, id, this.#token);
        if (found === undefined) throw notFound(id);
        const { info, object, inline } = found;
        if (object === undefined || info.state !== 'ok') throw unusable(info);
        return work(session, object, inline);
      },
      signal,
    );
  }

  #operationOf({ handle, alwaysAuthenticate }: KeyObject, mechanism: Mechanism): Operation {
    const login = alwaysAuthenticate
      ? (session: Session) => this.#token.logInForOperation(session)
      : undefined;
    return { mechanism, key: handle, login };
  }
}
