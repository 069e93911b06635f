import { oneOf, ServiceError } from '../errors.ts';
import { pairAlgorithms, pairUsages, symmetricAlgorithms } from '../interfaces/enumerations.ts';

/** A key pair on one of the three NIST curves. */
export type EcAlgorithm = Extract<PairAlgorithm, `ec-${string}`>;
/** An RSA key pair. */
export type RsaAlgorithm = Extract<PairAlgorithm, `rsa-${string}`>;
/** An algorithm of key pairs. */
export type PairAlgorithm = (typeof pairAlgorithms)[number];
/** An algorithm of symmetric keys. */
export type SymmetricAlgorithm = (typeof symmetricAlgorithms)[number];
/** An algorithm of keys. */
export type Algorithm = PairAlgorithm | SymmetricAlgorithm;

/** A purpose that a key may be used for; with `derive` it is a base key, which is never used directly. */
export type Usage = 'sign' | 'decrypt' | 'encrypt' | 'derive';

const defaultPairs: readonly PairAlgorithm[] = ['ec-p256', 'rsa-2048'];

/** Whether this names an algorithm of a key pair. */
export function isPairAlgorithm(text: string): text is PairAlgorithm {
  return pairAlgorithms.some((algorithm) => algorithm === text);
}

/** Whether this names an algorithm of a symmetric key. */
export function isSymmetricAlgorithm(text: string): text is SymmetricAlgorithm {
  return symmetricAlgorithms.some((algorithm) => algorithm === text);
}

/** Whether an algorithm is RSA. */
export function isRsa(algorithm: Algorithm): algorithm is RsaAlgorithm {
  return algorithm.startsWith('rsa-');
}

/** Whether an algorithm is on one of the NIST curves. */
export function isEc(algorithm: Algorithm): algorithm is EcAlgorithm {
  return algorithm.startsWith('ec-');
}

/** The bits of an RSA modulus. */
export function modulusBits(algorithm: RsaAlgorithm): number {
  return Number(algorithm.slice('rsa-'.length));
}

/** The bytes of the order of a curve, which are also those of a coordinate. */
export function orderBytes(algorithm: EcAlgorithm): number {
  return { 'ec-p256': 32, 'ec-p384': 48, 'ec-p521': 66 }[algorithm];
}

/** The DER of the object identifiers of the curves. */
export const curveOids: Readonly<Record<EcAlgorithm, Buffer>> = {
  'ec-p256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'ec-p384': Buffer.from('06052b81040022', 'hex'),
  'ec-p521': Buffer.from('06052b81040023', 'hex'),
};

/** The name of a curve in OpenSSL. */
export function curveName(algorithm: EcAlgorithm): 'prime256v1' | 'secp384r1' | 'secp521r1' {
  return ({ 'ec-p256': 'prime256v1', 'ec-p384': 'secp384r1', 'ec-p521': 'secp521r1' } as const)[
    algorithm
  ];
}

/** Algorithms in order of preference; an empty list is `ec-p256, rsa-2048`. InvalidArgs for an unknown one. */
export function parsePairAlgorithms(texts: readonly string[]): readonly PairAlgorithm[] {
  if (texts.length === 0) return defaultPairs;
  return texts.map((text) => oneOf(text, 'an algorithm of key pairs', pairAlgorithms));
}

/** One algorithm of symmetric keys, or InvalidArgs. */
export function parseSymmetricAlgorithm(text: string): SymmetricAlgorithm {
  return oneOf(text, 'an algorithm of symmetric keys', symmetricAlgorithms);
}

/** Usages of a key pair, each once; an empty list is `sign`. InvalidArgs for anything but `sign`, `decrypt`. */
export function parsePairUsages(texts: readonly string[]): readonly Usage[] {
  return parseUsages(texts.length === 0 ? ['sign'] : texts, pairUsages, 'a key pair');
}

/**
 * Usages of a symmetric key, each once; an empty list is the algorithm's own usage: `encrypt` of aes-256,
 * `sign` of hmac-sha256. InvalidArgs for others, and for `derive` alone: a base key has one other usage.
 */
export function parseSymmetricUsages(
  algorithm: SymmetricAlgorithm,
  texts: readonly string[],
): readonly Usage[] {
  const own = ownUsage(algorithm);
  const usages = parseUsages(texts.length === 0 ? [own] : texts, [own, 'derive'], algorithm);
  if (!usages.includes(own)) {
    throw new ServiceError('InvalidArgs', `usage derive of ${algorithm} needs usage ${own} too`);
  }
  return usages;
}

/** The one usage besides `derive` that keys of a symmetric algorithm have. */
export function ownUsage(algorithm: SymmetricAlgorithm): 'encrypt' | 'sign' {
  return algorithm === 'aes-256' ? 'encrypt' : 'sign';
}

/** Whether keys of an algorithm can have a usage at all. */
export function canHave(algorithm: Algorithm, usage: Usage): boolean {
  if (isSymmetricAlgorithm(algorithm)) return usage === 'derive' || usage === ownUsage(algorithm);
  return usage === 'sign' || (usage === 'decrypt' && isRsa(algorithm));
}

/** Whether two lists hold the same usages. */
export function sameUsages(one: readonly Usage[], other: readonly Usage[]): boolean {
  return one.length === other.length && one.every((usage) => other.includes(usage));
}

function parseUsages(
  texts: readonly string[],
  allowed: readonly Usage[],
  what: string,
): readonly Usage[] {
  const usages = texts.map((text) => oneOf(text, `a usage of ${what}`, allowed));
  return allowed.filter((usage) => usages.includes(usage));
}
