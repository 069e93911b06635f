import {
  constants,
  createHmac,
  createPublicKey,
  hash,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import type { Cancellation } from '../cancellation.ts';
import { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import { isPairAlgorithm, isRsa, modulusBits, type Usage } from './algorithm.ts';
import { seal, unseal } from './crypto/aes-gcm.ts';
import { sameMac, verifySignature } from './crypto/verify.ts';
import { notSupported, unusable } from './errors.ts';
import {
  type EncryptMechanism,
  parseSignRequest,
  type SignRequest,
  signsWith,
} from './mechanism.ts';
import type { KeyService } from './service.ts';
import type { Key, KeyInfo } from './store.ts';

/** Selects a key, besides its id. */
export interface KeyChoice {
  /** Selects the key derived with it from a base key. */
  readonly derivation: Buffer | undefined;
  /** The SHA-256 of the public key that the caller expects. */
  readonly publicKey: Buffer | undefined;
}

/** The input of an encryption or decryption. */
export interface CipherInput {
  readonly mechanism: EncryptMechanism;
  readonly input: Buffer;
  readonly aad: Buffer | undefined;
}

/** The first byte of every output of Encrypt: the version of its format. */
const form = 1;
const nonceBytes = 12;
const tagBytes = 16;

/** Operations with keys: checks usages, derives from base keys, and encodes results for the bus. */
export class KeyOperations {
  readonly #keys: Pick<KeyService, 'require'>;

  constructor(keys: Pick<KeyService, 'require'>) {
    this.#keys = keys;
  }

  async sign(
    id: KeyId,
    request: SignRequest,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Buffer> {
    const key = await this.#choose(id, choice, 'sign', signal);
    checkMechanism(key.info, request);
    return signWith(key, request, choice, signal);
  }

  /** False for anything but the signature; throws for invalid arguments and unusable keys only. */
  async verify(
    id: KeyId,
    request: SignRequest,
    { signature, ...choice }: KeyChoice & { readonly signature: Buffer },
    signal: Cancellation,
  ): Promise<boolean> {
    const key = await this.#choose(id, choice, 'sign', signal);
    checkMechanism(key.info, request);
    const { algorithm, spki } = key.info;
    if (algorithm !== undefined && isPairAlgorithm(algorithm) && spki !== undefined) {
      return verifySignature({ algorithm, spki }, request, signature);
    }
    return sameMac(await signWith(key, request, choice, signal), signature);
  }

  /** Returns the format byte, then nonce, ciphertext and tag, or the OAEP block. */
  async encrypt(
    id: KeyId,
    cipher: CipherInput,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Buffer> {
    if (cipher.mechanism === 'rsa-oaep-sha256') {
      const { info } = await this.#chooseOaep(id, cipher, choice, signal);
      return Buffer.concat([Buffer.of(form), oaep(info, cipher.input)]);
    }
    const key = await this.#choose(id, choice, 'encrypt', signal);
    const nonce = randomBytes(nonceBytes);
    const request = { nonce, aad: cipher.aad ?? Buffer.alloc(0) };
    const sealed =
      choice.derivation === undefined
        ? await key.encrypt(cipher.input, request, signal)
        : await withDerived(
            key,
            choice.derivation,
            (derived) => seal(derived, cipher.input, request),
            signal,
          );
    return Buffer.concat([Buffer.of(form), nonce, sealed]);
  }

  /** Returns the plaintext. The same InvalidArgs for every input that was not encrypted for the key. */
  async decrypt(
    id: KeyId,
    cipher: CipherInput,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Buffer> {
    const plain =
      cipher.mechanism === 'rsa-oaep-sha256'
        ? await this.#decryptOaep(id, cipher, choice, signal)
        : await this.#decryptGcm(id, cipher, choice, signal);
    if (plain !== undefined) return plain;
    throw new ServiceError('InvalidArgs', `the input was not encrypted for key "${id}"`);
  }

  /** Exports an exportable key, or a derived one when its base key permits that; otherwise NotSupported. */
  async exportKey(
    id: KeyId,
    format: string,
    derivation: Buffer | undefined,
    signal: Cancellation,
  ): Promise<Buffer> {
    const key = await this.#choose(id, { derivation, publicKey: undefined }, undefined, signal);
    const { info } = key;
    const wanted = info.kind === 'pair' ? 'pkcs8' : 'raw';
    if (format !== wanted) {
      throw new ServiceError('InvalidArgs', `key "${id}" is exported in format ${wanted}`);
    }
    if (derivation === undefined) {
      if (!info.exportable) throw notSupported(`key "${id}" is not exportable`);
      return key.export(signal);
    }
    if (!info.exportDerived || !info.usages.includes('sign')) {
      throw notSupported(`keys derived from "${id}" are not exportable`);
    }
    return withDerived(key, derivation, (derived) => Buffer.from(derived), signal);
  }

  /** Returns the selected key, if it permits the usage. */
  async #choose(
    id: KeyId,
    { derivation, publicKey }: KeyChoice,
    usage: Usage | undefined,
    signal: Cancellation,
  ): Promise<Key> {
    const key = await this.#keys.require(id, signal);
    const { info } = key;
    if (info.state !== 'ok') throw unusable(info);
    if (publicKey !== undefined) checkPublicKey(info, publicKey);
    const isBase = info.usages.includes('derive');
    if (derivation !== undefined && !isBase) throw notSupported(`key "${id}" is not a base key`);
    if (isBase && (derivation === undefined || derivation.length === 0)) {
      const message = `key "${id}" is a base key: it is used with a derivation, which is not empty`;
      throw new ServiceError('InvalidArgs', message);
    }
    if (usage !== undefined && !info.usages.includes(usage)) {
      throw notSupported(`key "${id}" is not for usage ${usage}`);
    }
    return key;
  }

  async #decryptGcm(
    id: KeyId,
    { input, aad = Buffer.alloc(0) }: CipherInput,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Buffer | undefined> {
    const key = await this.#choose(id, choice, 'encrypt', signal);
    const sealedAt = 1 + nonceBytes;
    if (input.length < sealedAt + tagBytes || input[0] !== form) return undefined;
    const request = { nonce: input.subarray(1, sealedAt), aad };
    const sealed = input.subarray(sealedAt);
    if (choice.derivation === undefined) return key.decrypt(sealed, request, signal);
    const open = (derived: Buffer) => unseal(derived, sealed, request);
    return withDerived(key, choice.derivation, open, signal);
  }

  async #decryptOaep(
    id: KeyId,
    cipher: CipherInput,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Buffer | undefined> {
    const key = await this.#chooseOaep(id, cipher, choice, signal);
    const { input } = cipher;
    if (input[0] !== form || input.length - 1 !== modulusBytes(key.info)) return undefined;
    return key.decryptOaep(input.subarray(1), signal);
  }

  async #chooseOaep(
    id: KeyId,
    { aad }: CipherInput,
    choice: KeyChoice,
    signal: Cancellation,
  ): Promise<Key> {
    if (aad !== undefined) {
      throw new ServiceError('InvalidArgs', 'rsa-oaep-sha256 has no additional data');
    }
    return this.#choose(id, choice, 'decrypt', signal);
  }
}

/** NotFound when the caller expects another public key: the key was replaced. InvalidArgs unless it is a SHA-256. */
function checkPublicKey({ id, spki }: KeyInfo, digest: Buffer): void {
  if (digest.length !== 32) {
    throw new ServiceError('InvalidArgs', 'public_key is a SHA-256: it has 32 bytes');
  }
  if (spki === undefined || !hash('sha256', spki, 'buffer').equals(digest)) {
    throw new ServiceError('NotFound', `key "${id}" was replaced`);
  }
}

function checkMechanism({ algorithm, id }: KeyInfo, { mechanism }: SignRequest): void {
  if (algorithm !== undefined && signsWith(algorithm, mechanism)) return;
  throw notSupported(`key "${id}" of ${algorithm} does not sign with ${mechanism.family}`);
}

/** Signs with a key, or with the one derived from it. */
function signWith(
  key: Key,
  request: SignRequest,
  { derivation }: KeyChoice,
  signal: Cancellation,
): Promise<Buffer> {
  if (derivation === undefined) return key.sign(request, signal);
  return withDerived(key, derivation, (derived) => mac(derived, request), signal);
}

/** Derives a key, HMAC-SHA256(base, derivation), uses it and wipes it. */
async function withDerived<T>(
  base: Key,
  derivation: Buffer,
  use: (derived: Buffer) => T,
  signal: Cancellation,
): Promise<T> {
  const request = parseSignRequest({ family: 'hmac-sha256' }, derivation, false);
  const derived = await base.sign(request, signal);
  try {
    return use(derived);
  } finally {
    derived.fill(0);
  }
}

function mac(key: Buffer, { data }: SignRequest): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function oaep(info: KeyInfo, plain: Buffer): Buffer {
  const most = modulusBytes(info) - 2 * 32 - 2;
  if (plain.length > most) {
    throw new ServiceError('InvalidArgs', `key "${info.id}" encrypts at most ${most} bytes`);
  }
  const key = createPublicKey({ key: info.spki ?? plain, format: 'der', type: 'spki' });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return publicEncrypt({ key, padding, oaepHash: 'sha256' }, plain);
}

function modulusBytes({ algorithm }: KeyInfo): number {
  return algorithm !== undefined && isRsa(algorithm) ? modulusBits(algorithm) / 8 : 0;
}
