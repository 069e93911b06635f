import { createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';

/**
 * Whether the parts of a private key from outside belong together. Nothing that reads one makes sure: a wrong
 * public half would be published, and an RSA key with one wrong part gives signatures that can give its primes away.
 */
export function isConsistent(key: KeyObject): boolean {
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const message = randomBytes(32);
  try {
    if (key.asymmetricKeyType === 'rsa' && !isRsaConsistent(key)) return false;
    return verify(hash, message, createPublicKey(key), sign(hash, message, key));
  } catch {
    // A key that cannot sign is none, whatever OpenSSL says of it.
    return false;
  }
}

/** Signing would not tell: where the parts disagree OpenSSL silently falls back to those that work, a token may not. */
function isRsaConsistent(key: KeyObject): boolean {
  const { n, e, d, p, q, dp, dq, qi } = key.export({ format: 'jwk' });
  const [modulus, exponent, secret] = [integer(n), integer(e), integer(d)];
  const [one, other] = [integer(p), integer(q)];
  if (exponent < 3n || exponent % 2n === 0n || one < 3n || other < 3n) return false;
  return (
    one * other === modulus &&
    (secret * exponent) % (one - 1n) === 1n &&
    (secret * exponent) % (other - 1n) === 1n &&
    secret % (one - 1n) === integer(dp) &&
    secret % (other - 1n) === integer(dq) &&
    (integer(qi) * other) % one === 1n
  );
}

function integer(base64url = ''): bigint {
  return BigInt(`0x0${Buffer.from(base64url, 'base64url').toString('hex')}`);
}
