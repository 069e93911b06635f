import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { oneOf, ServiceError } from '../errors.ts';
import { isPairAlgorithm, type PairAlgorithm, type SymmetricAlgorithm } from './algorithm.ts';
import { isConsistent } from './consistency.ts';
import type { Material } from './store.ts';

const CURVES: Readonly<Record<string, PairAlgorithm>> = {
  prime256v1: 'ec-p256',
  secp384r1: 'ec-p384',
  secp521r1: 'ec-p521',
};

/** The algorithm of a private or public key, `undefined` when it is none that the service offers. */
export function algorithmOf(key: KeyObject): PairAlgorithm | undefined {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return CURVES[namedCurve ?? ''];
    case 'ed25519':
      return 'ed25519';
    case 'rsa': {
      const name = `rsa-${modulusLength}`;
      return isPairAlgorithm(name) ? name : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether raw bytes can be a key: 32 for aes-256, 16 to 128 for hmac-sha256. */
export function fitsRaw(algorithm: SymmetricAlgorithm, bytes: Buffer): boolean {
  if (algorithm === 'aes-256') return bytes.length === 32;
  return bytes.length >= 16 && bytes.length <= 128;
}

/** Key material of the bus: InvalidArgs when it is not exactly what it says it is. */
export function parseMaterial(
  format: string,
  bytes: Buffer,
  algorithm: SymmetricAlgorithm | undefined,
): Material {
  if (oneOf(format, 'a format', ['raw', 'pkcs8']) === 'raw') {
    if (algorithm === undefined || !fitsRaw(algorithm, bytes)) {
      throw invalid(`${bytes.length} bytes are not a key of ${algorithm ?? 'an algorithm'}`);
    }
    return { kind: 'raw', algorithm, bytes };
  }
  if (algorithm !== undefined) throw invalid('PKCS#8 says its algorithm itself: give ""');
  const key = parsePkcs8(bytes);
  const found = key && algorithmOf(key);
  if (key === undefined || found === undefined) {
    throw invalid('not the PKCS#8 (DER) of a kind of key that is offered');
  }
  if (!isConsistent(key)) throw invalid('the parts of the private key do not belong together');
  return { kind: 'pkcs8', algorithm: found, bytes };
}

/** The private key in DER, whole and nothing after it; `undefined` for anything else. */
export function parsePkcs8(der: Buffer): KeyObject | undefined {
  if (outerLength(der) !== der.length) return undefined;
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch {
    // What OpenSSL says of it may quote it, and the caller knows what was sent.
    return undefined;
  }
}

/** The DER SubjectPublicKeyInfo of a private key. */
export function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** The length that the outermost DER element has by its own account. */
function outerLength(der: Buffer): number {
  const first = der[1] ?? 0;
  if (first < 0x80) return first + 2;
  const count = first & 0x7f;
  return count > 0 && count <= 4 && der.length > 2 + count
    ? der.readUIntBE(2, count) + 2 + count
    : -1;
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidArgs', message);
}
