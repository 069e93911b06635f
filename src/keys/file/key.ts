import { constants, createHmac, type KeyObject, privateEncrypt, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { ServiceError } from '../../errors.ts';
import type { DamagedFile } from '../../service/state/state-file.ts';
import { isEc, isRsa, modulusBits } from '../algorithm.ts';
import { seal, unseal } from '../crypto/aes-gcm.ts';
import { signDigest } from '../crypto/ecdsa.ts';
import { openOaep } from '../crypto/oaep.ts';
import { digestInfo, encodePss } from '../crypto/rsa-padding.ts';
import { pssKey } from '../crypto/verify.ts';
import { notSupported, unusable } from '../errors.ts';
import { ecdsaToDer } from '../material/der.ts';
import type { Hash, SignMechanism, SignRequest } from '../mechanism.ts';
import type { CipherRequest, Key, KeyInfo } from '../store.ts';

const signOnThread = promisify(sign);

/** The content of the file of a key: the key, or why there is none. */
export interface KeyFile {
  readonly info: KeyInfo;
  readonly key: KeyObject | undefined;
  /** The damage of a file in the state directory. */
  readonly damage?: DamagedFile;
}

/** A key in memory that was read from a file. */
export class FileKey implements Key {
  readonly info: KeyInfo;
  readonly #key: KeyObject | undefined;
  readonly #remove: () => Promise<void>;

  /** `remove` is the store's deletion of the file. */
  constructor({ info, key }: KeyFile, remove: () => Promise<void>) {
    this.info = info;
    this.#key = key;
    this.#remove = remove;
  }

  /** Signs with RSA on a thread, because it is slow. */
  async sign({ mechanism, data, prehashed }: SignRequest): Promise<Buffer> {
    const key = this.#usable();
    switch (mechanism.family) {
      case 'ecdsa':
        return prehashed ? this.#signEcDigest(key, data) : sign(mechanism.hash, data, key);
      case 'rsa-pkcs1':
        if (!prehashed) return signOnThread(mechanism.hash, data, key);
        return privateEncrypt(
          { key, padding: constants.RSA_PKCS1_PADDING },
          digestInfo(mechanism.hash, data),
        );
      case 'rsa-pss':
        if (!prehashed) return signOnThread(mechanism.hash, data, pssKey(key, mechanism.hash));
        return this.#signPssDigest(key, mechanism.hash, data);
      case 'ed25519':
        return sign(null, data, key);
      case 'hmac-sha256':
        return createHmac('sha256', key).update(data).digest();
    }
  }

  async encrypt(plain: Buffer, request: CipherRequest): Promise<Buffer> {
    return seal(this.#usable(), plain, request);
  }

  async decrypt(sealed: Buffer, request: CipherRequest): Promise<Buffer | undefined> {
    return unseal(this.#usable(), sealed, request);
  }

  async decryptOaep(block: Buffer): Promise<Buffer | undefined> {
    return openOaep(this.#usable(), block);
  }

  async export(): Promise<Buffer> {
    const key = this.#usable();
    return key.type === 'secret' ? key.export() : key.export({ type: 'pkcs8', format: 'der' });
  }

  delete(): Promise<void> {
    return this.#remove();
  }

  #usable(): KeyObject {
    if (this.#key === undefined) throw unusable(this.info);
    return this.#key;
  }

  #signEcDigest(key: KeyObject, digest: Buffer): Buffer {
    const { algorithm } = this.info;
    if (algorithm === undefined || !isEc(algorithm)) throw this.#misfit('ecdsa');
    return ecdsaToDer(signDigest(algorithm, key, digest));
  }

  #signPssDigest(key: KeyObject, hash: Hash, digest: Buffer): Buffer {
    const { algorithm } = this.info;
    if (algorithm === undefined || !isRsa(algorithm)) throw this.#misfit('rsa-pss');
    const encoded = encodePss(hash, digest, modulusBits(algorithm));
    return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
  }

  /** The caller checks that mechanism and key match; this guards what the types cannot express. */
  #misfit(family: SignMechanism['family']): ServiceError {
    return notSupported(`key "${this.info.id}" is not for ${family}`);
  }
}
