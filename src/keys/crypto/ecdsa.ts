/**
 * ECDSA over a digest that the caller computed. Node signs and verifies only messages, which it hashes itself, so this
 * implements FIPS 186-5 6.4, with nonces and points from OpenSSL's ECDH. Only the arithmetic modulo the order is done
 * here. When signing, a random factor blinds every secret, because BigInt arithmetic is not constant-time.
 */
import { createECDH, type KeyObject, randomBytes } from 'node:crypto';
import { curveName, type EcAlgorithm, orderBytes } from '../algorithm.ts';
import { toBigInt, withEcScalar } from '../material/private-parts.ts';

interface Curve {
  /** The prime of the field. */
  readonly p: bigint;
  /** The order of the group. */
  readonly n: bigint;
}

interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

const curves: Readonly<Record<EcAlgorithm, Curve>> = {
  'ec-p256': {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  'ec-p384': {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  'ec-p521': {
    p: 2n ** 521n - 1n,
    n: 2n ** 521n - 0x5ae79787c40d069948033feb708f65a2fc44a36477663b851449048e16ec79bf7n,
  },
};

/** Signs a digest; returns r and s, each as long as the order. */
export function signDigest(algorithm: EcAlgorithm, key: KeyObject, digest: Buffer): Buffer {
  const { n } = curves[algorithm];
  const size = orderBytes(algorithm);
  const d = withEcScalar(key, toBigInt);
  for (;;) {
    const { k, x } = makeNonce(algorithm);
    const r = x % n;
    const blind = (toBigInt(randomBytes(size + 8)) % (n - 1n)) + 1n;
    const inverse = invert(mod(spread(k, n) * blind, n), n);
    const blinded = mod(spread(d, n) * blind, n);
    const s = mod(inverse * mod(truncate(digest, size) * blind + r * blinded, n), n);
    if (r !== 0n && s !== 0n) return Buffer.concat([toBytes(r, size), toBytes(s, size)]);
  }
}

/**
 * A random number and the first coordinate of its point. `generateKeyPairSync` could deadlock: an export allocates
 * while it holds the lock of the key, and a garbage collection then destroys the generating job, which takes that lock.
 */
function makeNonce(algorithm: EcAlgorithm): { readonly k: bigint; readonly x: bigint } {
  const ecdh = createECDH(curveName(algorithm));
  const point = ecdh.generateKeys();
  const secret = ecdh.getPrivateKey();
  const k = toBigInt(secret);
  secret.fill(0);
  return { k, x: toBigInt(point.subarray(1, 1 + orderBytes(algorithm))) };
}

/** Verifies r and s, the signature over a digest. */
export function verifyDigest(
  algorithm: EcAlgorithm,
  key: KeyObject,
  { digest, signature }: { readonly digest: Buffer; readonly signature: Buffer },
): boolean {
  const { p, n } = curves[algorithm];
  const size = orderBytes(algorithm);
  const r = toBigInt(signature.subarray(0, size));
  const s = toBigInt(signature.subarray(size));
  if (r <= 0n || r >= n || s <= 0n || s >= n) return false;
  const jwk = key.export({ format: 'jwk' });
  const q = { x: fromBase64url(jwk.x), y: fromBase64url(jwk.y) };
  // (z/s)·G + (r/s)·Q is (r/s)·((z/r)·G + Q): one multiplication of G, one addition, one multiplication
  const factor = mod(truncate(digest, size) * invert(r, n), n);
  const sum = factor === 0n ? q : add(multiplyBase(algorithm, factor), q, p);
  if (sum === undefined) return false;
  const x = multiplyX(algorithm, sum, mod(r * invert(s, n), n));
  return x % n === r;
}

/**
 * The leftmost bits of a digest, at most as many as the order has. Whole bytes suffice: only the order of P-521 does
 * not fill its bytes, and it is longer than every digest.
 */
function truncate(digest: Buffer, size: number): bigint {
  return toBigInt(digest.subarray(0, size));
}

function multiplyBase(algorithm: EcAlgorithm, factor: bigint): Point {
  const size = orderBytes(algorithm);
  const ecdh = createECDH(curveName(algorithm));
  ecdh.setPrivateKey(toBytes(factor, size));
  const point = ecdh.getPublicKey();
  return { x: toBigInt(point.subarray(1, 1 + size)), y: toBigInt(point.subarray(1 + size)) };
}

function multiplyX(algorithm: EcAlgorithm, point: Point, factor: bigint): bigint {
  const size = orderBytes(algorithm);
  const ecdh = createECDH(curveName(algorithm));
  ecdh.setPrivateKey(toBytes(factor, size));
  const encoded = Buffer.concat([Buffer.of(4), toBytes(point.x, size), toBytes(point.y, size)]);
  return toBigInt(ecdh.computeSecret(encoded));
}

/** The sum of two finite points; undefined when it is the point at infinity. */
function add(one: Point, other: Point, p: bigint): Point | undefined {
  const same = one.x === other.x;
  if (same && one.y !== other.y) return undefined;
  // the curves have a = -3
  const slope = same
    ? mod((3n * one.x * one.x - 3n) * invert(2n * one.y, p), p)
    : mod((other.y - one.y) * invert(mod(other.x - one.x, p), p), p);
  const x = mod(slope * slope - one.x - other.x, p);
  return { x, y: mod(slope * (one.x - x) - one.y, p) };
}

/** Adds a random multiple of the modulus: the size of the result reveals nothing about the residue. */
function spread(value: bigint, modulus: bigint): bigint {
  return value + modulus * (toBigInt(randomBytes(8)) | (1n << 63n));
}

function invert(value: bigint, modulus: bigint): bigint {
  let [r0, r1] = [modulus, mod(value, modulus)];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return mod(t0, modulus);
}

function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function fromBase64url(text: string | undefined): bigint {
  return toBigInt(Buffer.from(text ?? '', 'base64url'));
}

function toBytes(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex');
}
