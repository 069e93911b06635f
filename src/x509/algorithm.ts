import {
  createHash,
  createPublicKey,
  sign as cryptoSign,
  type KeyObject,
  verify,
} from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { type Element, nullValue, oid, sequence } from './der/asn1.ts';
import { membersOf, oidOf } from './der/read.ts';

/** The signature algorithms that are created and verified; the names are mechanisms of the Keys service. */
export type SignatureAlgorithm =
  | 'ecdsa-sha256'
  | 'ecdsa-sha384'
  | 'ecdsa-sha512'
  | 'rsa-pkcs1-sha256'
  | 'rsa-pkcs1-sha384'
  | 'rsa-pkcs1-sha512'
  | 'ed25519';

/** Signs bytes with a local or a remote key; ECDSA signatures are DER. */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  readonly sign: (message: Buffer) => Promise<Buffer>;
}

/** The algorithms of keys that certificates are issued for. */
export const keyAlgorithms = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
] as const;

/** One of them. */
export type KeyAlgorithm = (typeof keyAlgorithms)[number];

const oids: Readonly<Record<SignatureAlgorithm, string>> = {
  'ecdsa-sha256': '1.2.840.10045.4.3.2',
  'ecdsa-sha384': '1.2.840.10045.4.3.3',
  'ecdsa-sha512': '1.2.840.10045.4.3.4',
  'rsa-pkcs1-sha256': '1.2.840.113549.1.1.11',
  'rsa-pkcs1-sha384': '1.2.840.113549.1.1.12',
  'rsa-pkcs1-sha512': '1.2.840.113549.1.1.13',
  ed25519: '1.3.101.112',
};

const algorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['1.2.840.10045.4.3.2', 'ecdsa-sha256'],
  ['1.2.840.10045.4.3.3', 'ecdsa-sha384'],
  ['1.2.840.10045.4.3.4', 'ecdsa-sha512'],
  ['1.2.840.113549.1.1.11', 'rsa-pkcs1-sha256'],
  ['1.2.840.113549.1.1.12', 'rsa-pkcs1-sha384'],
  ['1.2.840.113549.1.1.13', 'rsa-pkcs1-sha512'],
  ['1.3.101.112', 'ed25519'],
]);

/** All signature algorithms. */
export const signatureAlgorithms: readonly SignatureAlgorithm[] = [...algorithms.values()];

const curves: ReadonlyMap<string, readonly [KeyAlgorithm, SignatureAlgorithm]> = new Map([
  ['prime256v1', ['ec-p256', 'ecdsa-sha256']],
  ['secp384r1', ['ec-p384', 'ecdsa-sha384']],
  ['secp521r1', ['ec-p521', 'ecdsa-sha512']],
]);

/** The public key of a DER SubjectPublicKeyInfo, or InvalidArgs. */
export function publicKeyOf(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (error) {
    throw new ServiceError('InvalidArgs', 'the public key cannot be read', { cause: error });
  }
}

/**
 * The canonical DER SubjectPublicKeyInfo of a key: explicit parameters of a named curve are written as the name, and
 * compressed points uncompressed.
 */
export function spkiOf(key: KeyObject): Buffer {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return plainly(half).export({ format: 'der', type: 'spki' });
}

/** SubjectPublicKeyInfo up to the key bits, of keys that have one encoding, and the length with those. */
const fixedKeys: readonly (readonly [head: Buffer, length: number])[] = [
  [Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'), 91],
  [Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex'), 120],
  [Buffer.from('30819b301006072a8648ce3d020106052b810400230381860004', 'hex'), 158],
  [Buffer.from('302a300506032b6570032100', 'hex'), 44],
];

/** Whether a SubjectPublicKeyInfo is canonical by its form alone: on a named curve, and with an uncompressed point. */
export function isCanonical(spki: Buffer): boolean {
  return fixedKeys.some(([head, length]) => spki.length === length && spki.indexOf(head) === 0);
}

/** The key with its parameters and points in canonical form, by way of a JWK, which has no other. */
function plainly(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ec' || !curves.has(namedCurveOf(key) ?? '')) return key;
  return createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' });
}

/** OpenSSL's name for the curve of an EC key; undefined for explicit parameters of no named curve. */
export function namedCurveOf({ asymmetricKeyDetails }: KeyObject): string | undefined {
  const name = asymmetricKeyDetails?.namedCurve;
  return name === 'UNDEF' ? undefined : name; // OpenSSL's text for no name
}

/** The algorithm of a key; NotSupported for algorithms that certificates are not issued for. */
export function keyAlgorithmOf(key: KeyObject): KeyAlgorithm {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  if (key.asymmetricKeyType === 'ec') {
    const [algorithm] = curves.get(details?.namedCurve ?? '') ?? [];
    if (algorithm !== undefined) return algorithm;
  }
  // an exponent of 1 lets any process sign, an even one none
  const exponent = details?.publicExponent ?? 0n;
  if (key.asymmetricKeyType === 'rsa' && exponent > 1n && exponent % 2n === 1n) {
    const bits = details?.modulusLength ?? 0;
    if (bits >= 2048 && bits <= 4096) {
      if (bits < 3072) return 'rsa-2048';
      return bits < 4096 ? 'rsa-3072' : 'rsa-4096';
    }
  }
  throw new ServiceError('NotSupported', `${kindOf(key)} are not supported`);
}

function kindOf(key: KeyObject): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  const { modulusLength, publicExponent } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ec') {
    const name = namedCurveOf(key);
    return name === undefined
      ? 'EC keys with explicit parameters that are those of no named curve'
      : `EC keys on the curve ${name}`;
  }
  if (asymmetricKeyType !== 'rsa') return `keys of the kind ${asymmetricKeyType ?? 'unknown'}`;
  return `RSA keys of ${modulusLength ?? 0} bits with the exponent ${publicExponent ?? 0}`;
}

/** The signature algorithm for a key: the hash of its curve; for RSA SHA-256, from 3072 bits on SHA-384. */
export function signatureAlgorithmFor(key: KeyObject): SignatureAlgorithm {
  const algorithm = keyAlgorithmOf(key);
  if (algorithm === 'ed25519') return 'ed25519';
  if (algorithm === 'rsa-2048') return 'rsa-pkcs1-sha256';
  if (algorithm.startsWith('rsa-')) return 'rsa-pkcs1-sha384';
  return curves.get(key.asymmetricKeyDetails?.namedCurve ?? '')?.[1] ?? 'ecdsa-sha256';
}

/** Signs with a private key of this process, with the algorithm for it or with another that it can be used with. */
export function localSigner(
  key: KeyObject,
  algorithm: SignatureAlgorithm = signatureAlgorithmFor(key),
): Signer {
  return {
    algorithm,
    sign: (message) => Promise.resolve(cryptoSign(hashOf(algorithm), message, key)),
  };
}

/** The AlgorithmIdentifier of a signature. */
export function encodeAlgorithm(algorithm: SignatureAlgorithm): Element {
  const id = oid(oids[algorithm]);
  // RSA has a NULL parameter, the others have none (RFC 4055, 5758, 8410)
  return algorithm.startsWith('rsa-') ? sequence(id, nullValue()) : sequence(id);
}

/** The signature algorithm of an AlgorithmIdentifier; NotSupported for any other, SHA-1 among them. */
export function decodeAlgorithm(element: Element | undefined): SignatureAlgorithm {
  const [id] = membersOf(element, 'sequence', 'signature algorithm');
  const dotted = oidOf(id, 'signature algorithm');
  const algorithm = algorithms.get(dotted);
  if (algorithm === undefined) {
    throw new ServiceError('NotSupported', `signature algorithm ${dotted} is not supported`);
  }
  return algorithm;
}

/** Whether a signature over a message verifies; false when the key has another algorithm. */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
  { message, signature }: { readonly message: Uint8Array; readonly signature: Uint8Array },
): boolean {
  const type = algorithm.startsWith('rsa-') ? 'rsa' : algorithm.startsWith('ec') ? 'ec' : 'ed25519';
  if (key.asymmetricKeyType !== type) return false;
  return verify(hashOf(algorithm), message, key, signature);
}

/** SHA-256 of a SubjectPublicKeyInfo, which pins a key in a request to the Keys service. */
export function keyDigest(spki: Uint8Array): Buffer {
  return createHash('sha256').update(spki).digest();
}

function hashOf(algorithm: SignatureAlgorithm): string | undefined {
  return algorithm === 'ed25519' ? undefined : algorithm.slice(-6);
}
