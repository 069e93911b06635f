import type { Cancellation } from '../../cancellation.ts';
import { unpadOaep } from '../crypto/oaep.ts';
import { notFound, notSupported, unusable } from '../errors.ts';
import type { SignRequest } from '../mechanism.ts';
import type { CipherRequest, Key, KeyInfo } from '../store.ts';
import type { CachedKey, KeyCache } from './key-cache.ts';
import { isNotDecrypted } from './library/ckr.ts';
import type { Token } from './library/token.ts';
import type { TokenSessions } from './library/token-sessions.ts';
import { CKM } from './protocol/constants.ts';
import type { Mechanism } from './protocol/values.ts';
import type { KeyObject } from './reading/objects.ts';
import { gcm, tokenSignature } from './token-mechanism.ts';

/** For a key that requires a login for each operation. */
type Pin = Buffer | undefined;

/** A key in a token. Each operation searches for its object again when the cached handle is invalid. */
export class Pkcs11Key implements Key {
  readonly info: KeyInfo;
  readonly #token: Token;
  readonly #cache: KeyCache;
  readonly #remove: (key: Pkcs11Key, signal: Cancellation) => Promise<void>;

  /** `remove` is the store's deletion of the key. */
  constructor(
    { info, token }: Pick<CachedKey, 'info' | 'token'>,
    cache: KeyCache,
    remove: (key: Pkcs11Key, signal: Cancellation) => Promise<void>,
  ) {
    this.info = info;
    this.#token = token;
    this.#cache = cache;
    this.#remove = remove;
  }

  sign(request: SignRequest, signal: Cancellation): Promise<Buffer> {
    const work = async (sessions: TokenSessions, object: KeyObject): Promise<Buffer> => {
      const { mechanism, input, finish } = tokenSignature(object.algorithm, request);
      const operation = { key: object.handle, mechanism, data: input };
      const sign = (pin: Pin) => sessions.sign({ ...operation, pin }, signalOf(pin, signal));
      return finish(await this.#perform(object, sign, signal));
    };
    return this.#use('sign with', work, signal);
  }

  encrypt(plain: Buffer, { nonce, aad }: CipherRequest, signal: Cancellation): Promise<Buffer> {
    const work = (sessions: TokenSessions, object: KeyObject): Promise<Buffer> => {
      const operation = { key: object.handle, mechanism: gcm(nonce, aad), data: plain };
      const encrypt = (pin: Pin) => sessions.encrypt({ ...operation, pin }, signalOf(pin, signal));
      return this.#perform(object, encrypt, signal);
    };
    return this.#use('encrypt with', work, signal);
  }

  async decrypt(
    sealed: Buffer,
    { nonce, aad }: CipherRequest,
    signal: Cancellation,
  ): Promise<Buffer | undefined> {
    return this.#decrypt(gcm(nonce, aad), sealed, signal);
  }

  async decryptOaep(block: Buffer, signal: Cancellation): Promise<Buffer | undefined> {
    const padded = await this.#decrypt({ mechanism: CKM.RSA_X_509 }, block, signal);
    const message = padded && unpadOaep(padded);
    padded?.fill(0);
    return message;
  }

  async export(): Promise<Buffer> {
    throw notSupported(`key "${this.info.id}" never leaves its token`);
  }

  delete(signal: Cancellation): Promise<void> {
    return this.#remove(this, signal);
  }

  #decrypt(mechanism: Mechanism, data: Buffer, signal: Cancellation): Promise<Buffer | undefined> {
    const work = async (
      sessions: TokenSessions,
      object: KeyObject,
    ): Promise<Buffer | undefined> => {
      const operation = { key: object.handle, mechanism, data };
      const decrypt = (pin: Pin) => sessions.decrypt({ ...operation, pin }, signalOf(pin, signal));
      try {
        return await this.#perform(object, decrypt, signal);
      } catch (error) {
        if (!isNotDecrypted(error)) throw error;
        await this.#token.confirmAbsence();
        return undefined;
      }
    };
    return this.#use('decrypt with', work, signal);
  }

  #use<T>(
    verb: string,
    work: (sessions: TokenSessions, object: KeyObject) => Promise<T>,
    signal: Cancellation,
  ): Promise<T> {
    const { id } = this.info;
    const token = this.#token;
    return token.use(
      () => `cannot ${verb} key "${id}"`,
      async (sessions) => {
        const found = await this.#cache.find(sessions, id, { token, signal });
        if (found === undefined) throw notFound(id);
        const { info, object } = found;
        if (object === undefined || info.state !== 'ok') throw unusable(info);
        return work(sessions, object);
      },
    );
  }

  /** Runs an operation, with the PIN when each one with the key requires a login. */
  #perform(
    { alwaysAuthenticate }: KeyObject,
    operation: (pin: Pin) => Promise<Buffer>,
    signal: Cancellation,
  ): Promise<Buffer> {
    return alwaysAuthenticate ? this.#token.useWithPin(operation, signal) : operation(undefined);
  }
}

/** A caller that leaves does not end a call with a PIN: its outcome may be that the PIN is refused. */
function signalOf(pin: Pin, signal: Cancellation): Cancellation | undefined {
  return pin === undefined ? signal : undefined;
}
