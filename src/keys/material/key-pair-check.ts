import { createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { toBigInt, withRsaParts } from './private-parts.ts';

/**
 * Whether the parts of an external private key belong together, which no parser checks. A wrong public half would be
 * published, and the signatures of an RSA key with a wrong part can reveal its primes.
 */
export function isConsistent(key: KeyObject): boolean {
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const message = randomBytes(32);
  try {
    if (key.asymmetricKeyType === 'rsa' && !isRsaConsistent(key)) return false;
    return verify(hash, message, createPublicKey(key), sign(hash, message, key));
  } catch {
    // a key that cannot sign is invalid, even if OpenSSL parses it
    return false;
  }
}

/** Signing would not detect it: OpenSSL silently falls back to the parts that work, a token may not. */
function isRsaConsistent(key: KeyObject): boolean {
  const numbers = withRsaParts(key, (parts) => ({
    modulus: toBigInt(parts.modulus),
    exponent: toBigInt(parts.publicExponent),
    secret: toBigInt(parts.privateExponent),
    one: toBigInt(parts.prime1),
    other: toBigInt(parts.prime2),
    secretOfOne: toBigInt(parts.exponent1),
    secretOfOther: toBigInt(parts.exponent2),
    inverse: toBigInt(parts.coefficient),
  }));
  const { modulus, exponent, secret, one, other } = numbers;
  if (exponent < 3n || exponent % 2n === 0n || one < 3n || other < 3n) return false;
  return (
    one * other === modulus &&
    (secret * exponent) % (one - 1n) === 1n &&
    (secret * exponent) % (other - 1n) === 1n &&
    secret % (one - 1n) === numbers.secretOfOne &&
    secret % (other - 1n) === numbers.secretOfOther &&
    (numbers.inverse * other) % one === 1n
  );
}
