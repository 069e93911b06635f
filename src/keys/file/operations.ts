import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type KeyObject,
  privateDecrypt,
  privateEncrypt,
  sign,
} from 'node:crypto';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';
import { isEc, isRsa, modulusBits } from '../algorithm.ts';
import { signDigest } from '../crypto/ecdsa.ts';
import { digestInfo, encodePss } from '../crypto/rsa-padding.ts';
import { pssKey } from '../crypto/verify.ts';
import { ecdsaToDer } from '../material/der.ts';
import type { Hash, SignMechanism, SignRequest } from '../mechanism.ts';
import type { CipherRequest } from '../store.ts';
import type { FileKey } from './key-file.ts';

const signOnThread = promisify(sign);
const tagBytes = 16;

/** A signature or MAC by a key in memory. RSA is slow enough to be worth a thread. */
export async function signWith(file: FileKey, request: SignRequest): Promise<Buffer> {
  const { key } = file;
  const { mechanism, data, prehashed } = request;
  switch (mechanism.family) {
    case 'ecdsa':
      return prehashed ? signEcDigest(file, data) : sign(mechanism.hash, data, key);
    case 'rsa-pkcs1':
      if (!prehashed) return await signOnThread(mechanism.hash, data, key);
      return privateEncrypt(
        { key, padding: constants.RSA_PKCS1_PADDING },
        digestInfo(mechanism.hash, data),
      );
    case 'rsa-pss':
      if (!prehashed) return await signOnThread(mechanism.hash, data, pssKey(key, mechanism.hash));
      return signPssDigest(file, mechanism.hash, data);
    case 'ed25519':
      return sign(null, data, key);
    case 'hmac-sha256':
      return createHmac('sha256', key).update(data).digest();
  }
}

/** Ciphertext and tag of AES-256-GCM. */
export function seal(key: KeyObject | Buffer, plain: Buffer, request: CipherRequest): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, request.nonce, { authTagLength: tagBytes });
  cipher.setAAD(request.aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The plaintext of ciphertext and tag; `undefined` when the tag is not theirs. */
export function unseal(
  key: KeyObject | Buffer,
  sealed: Buffer,
  request: CipherRequest,
): Buffer | undefined {
  if (sealed.length < tagBytes) return undefined;
  const tagAt = sealed.length - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, request.nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(request.aad);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plain = decipher.update(sealed.subarray(0, tagAt));
  try {
    decipher.final();
    return plain;
  } catch {
    // the only failure of final() here is a tag that does not fit.
    plain.fill(0);
    return undefined;
  }
}

/** The message in an OAEP block; `undefined` for every reason why there is none. */
export function openOaep(key: KeyObject, block: Buffer): Buffer | undefined {
  try {
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    return privateDecrypt({ key, padding, oaepHash: 'sha256' }, block);
  } catch {
    // one answer for all failures: which one it was would help to guess the message.
    return undefined;
  }
}

function signEcDigest({ info, key }: FileKey, digest: Buffer): Buffer {
  const { algorithm } = info;
  if (algorithm === undefined || !isEc(algorithm)) throw misfit(info.id, 'ecdsa');
  return ecdsaToDer(signDigest(algorithm, key, digest));
}

function signPssDigest({ info, key }: FileKey, hash: Hash, digest: Buffer): Buffer {
  const { algorithm } = info;
  if (algorithm === undefined || !isRsa(algorithm)) throw misfit(info.id, 'rsa-pss');
  const encoded = encodePss(hash, digest, modulusBits(algorithm));
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded);
}

/** That mechanism and key fit is decided by the caller; this guards what the types cannot say. */
function misfit(id: string, family: SignMechanism['family']): ServiceError {
  return new ServiceError('NotSupported', `key "${id}" is not for ${family}`);
}
