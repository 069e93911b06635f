import {
  constants,
  createPublicKey,
  type KeyObject,
  publicDecrypt,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { type EcAlgorithm, isEc, orderBytes, type PairAlgorithm } from '../algorithm.ts';
import { ecdsaFromDer } from '../material/der.ts';
import { type Hash, hashBytes, type SignRequest } from '../mechanism.ts';
import { verifyDigest } from './ecdsa.ts';
import { digestInfo, verifyPss } from './rsa-padding.ts';

/** Verifies a signature; false for anything that is not a signature at all, too. */
export function verifySignature(
  { algorithm, spki }: { readonly algorithm: PairAlgorithm; readonly spki: Buffer },
  request: SignRequest,
  signature: Buffer,
): boolean {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const { mechanism, data, prehashed } = request;
  switch (mechanism.family) {
    case 'ecdsa':
      if (!isEc(algorithm)) return false;
      if (prehashed) return verifyEcDigest({ algorithm, key }, data, signature);
      // Node accepts more than DER
      if (ecdsaFromDer(signature, orderBytes(algorithm)) === undefined) return false;
      return verify(mechanism.hash, data, key, signature);
    case 'rsa-pkcs1':
      if (prehashed) return verifyPkcs1Digest(key, { hash: mechanism.hash, data }, signature);
      return verify(mechanism.hash, data, key, signature);
    case 'rsa-pss':
      if (prehashed) return verifyPssDigest(key, { hash: mechanism.hash, data }, signature);
      return verify(mechanism.hash, data, pssKey(key, mechanism.hash), signature);
    case 'ed25519':
      return verify(null, data, key, signature);
    case 'hmac-sha256':
      return false;
  }
}

/** Compares two MACs in constant time. */
export function sameMac(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** A key with the PSS parameters of the service. */
export function pssKey(
  key: KeyObject,
  name: Hash,
): { readonly key: KeyObject; readonly padding: number; readonly saltLength: number } {
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: hashBytes(name) };
}

function verifyEcDigest(
  { algorithm, key }: { readonly algorithm: EcAlgorithm; readonly key: KeyObject },
  digest: Buffer,
  der: Buffer,
): boolean {
  const signature = ecdsaFromDer(der, orderBytes(algorithm));
  return signature !== undefined && verifyDigest(algorithm, key, { digest, signature });
}

interface Digest {
  readonly hash: Hash;
  readonly data: Buffer;
}

function verifyPkcs1Digest(key: KeyObject, { hash, data }: Digest, signature: Buffer): boolean {
  const padding = constants.RSA_PKCS1_PADDING;
  const signed = recover(key, { padding, signature });
  return signed !== undefined && signed.equals(digestInfo(hash, data));
}

function verifyPssDigest(key: KeyObject, { hash, data }: Digest, signature: Buffer): boolean {
  const encoded = recover(key, { padding: constants.RSA_NO_PADDING, signature });
  return encoded !== undefined && verifyPss(hash, data, encoded);
}

/** Recovers the encoded message, undefined when the signature cannot be by this key. */
function recover(
  key: KeyObject,
  { padding, signature }: { readonly padding: number; readonly signature: Buffer },
): Buffer | undefined {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (signature.length !== bits / 8) return undefined;
  try {
    return publicDecrypt({ key, padding }, signature);
  } catch {
    // OpenSSL reports wrong padding and too large numbers as errors
    return undefined;
  }
}
