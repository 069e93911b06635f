/** Signatures over digests at edge cases: numbers at the order, digests of zero. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  verify,
} from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EcAlgorithm } from '../../../../src/keys/algorithm.ts';
import { signDigest, verifyDigest } from '../../../../src/keys/crypto/ecdsa.ts';
import { ecdsaToDer } from '../../../../src/keys/material/der.ts';

const test = suite('signatures over digests, at the edges');

const curves: readonly (readonly [EcAlgorithm, string, number, bigint])[] = [
  [
    'ec-p256',
    'prime256v1',
    32,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ],
  [
    'ec-p384',
    'secp384r1',
    48,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ],
];

function bytesOf(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex');
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

for (const [algorithm, namedCurve, size, order] of curves) {
  test(`of ${algorithm} are refused when a number is zero, or at or above the order`, () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    const digest = randomBytes(size);
    const good = signDigest(algorithm, privateKey, digest);
    const [r, s] = [good.subarray(0, size), good.subarray(size)];
    const isValid = (one: Buffer, other: Buffer) => {
      const signature = Buffer.concat([one, other]);
      return verifyDigest(algorithm, publicKey, { digest, signature });
    };
    assert.ok(isValid(r, s));
    const others = [0n, order, order + 1n].map((value) => bytesOf(value, size));
    for (const other of [...others, Buffer.alloc(size, 0xff)]) {
      assert.not(isValid(other, s));
      assert.not(isValid(r, other));
      assert.not(isValid(other, other));
    }
    // the same residue is not the same number
    const [small, large] = [numberOf(r) + order, numberOf(s) + order];
    if (small < 1n << BigInt(8 * size)) assert.not(isValid(bytesOf(small, size), s));
    if (large < 1n << BigInt(8 * size)) assert.not(isValid(r, bytesOf(large, size)));
    // both signs of s are signatures, as OpenSSL has it
    assert.ok(isValid(r, bytesOf(order - numberOf(s), size)));
  });
}

test('are valid for digests of zero, of the order, and of the largest value', () => {
  for (const [algorithm, namedCurve, size, order] of curves) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    for (const digest of [Buffer.alloc(size), bytesOf(order, size), Buffer.alloc(size, 0xff)]) {
      const signature = signDigest(algorithm, privateKey, digest);
      assert.ok(verifyDigest(algorithm, publicKey, { digest, signature }));
      const other = { digest: bytesOf(1n, size), signature };
      assert.not(verifyDigest(algorithm, publicKey, other));
    }
  }
});

test('are verified where the two added points are equal, or opposite', () => {
  // a digest e and a number r with e/r = d or -d: then (e/r)·G is Q or -Q
  const [[algorithm, , size, order]] = curves as [(typeof curves)[number]];
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { d = '' } = privateKey.export({ format: 'jwk' });
  const secret = numberOf(Buffer.from(d, 'base64url'));
  const nonce = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const point = nonce.export({ format: 'jwk' });
  const k = numberOf(Buffer.from(point.d ?? '', 'base64url'));
  const r = numberOf(Buffer.from(point.x ?? '', 'base64url')) % order;
  const invert = (value: bigint): bigint => power(value, order - 2n, order);
  // s = (e + r·d)/k with e = r·d: the sum is a doubling
  const e = (r * secret) % order;
  const s = (2n * e * invert(k)) % order;
  const signature = Buffer.concat([bytesOf(r, size), bytesOf(s, size)]);
  assert.ok(verifyDigest(algorithm, publicKey, { digest: bytesOf(e, size), signature }));
  // e = -r·d: the sum is the point at infinity, and no s is right
  const opposite = bytesOf(order - e, size);
  assert.not(verifyDigest(algorithm, publicKey, { digest: opposite, signature }));
});

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, factor, rest] = [1n, base % modulus, exponent];
  for (; rest > 0n; rest >>= 1n) {
    if (rest % 2n === 1n) result = (result * factor) % modulus;
    factor = (factor * factor) % modulus;
  }
  return result;
}

test('have a new nonce each time, and OpenSSL verifies them', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp521r1' });
  const message = randomBytes(50);
  const seen = new Set<string>();
  for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
    const digest = createHash(hash).update(message).digest();
    for (let count = 0; count < 4; count++) {
      const signature = signDigest('ec-p521', privateKey, digest);
      seen.add(signature.toString('hex', 0, 66));
      assert.ok(verify(hash, message, publicKey, ecdsaToDer(signature)));
      assert.ok(verifyDigest('ec-p521', publicKey, { digest, signature }));
    }
  }
  assert.is(seen.size, 12);
});

test('are valid for keys whose number has leading zeros', () => {
  const short = createPrivateKey({
    key: Buffer.concat([
      Buffer.from('30310201010420', 'hex'),
      bytesOf(5n, 32),
      Buffer.from('a00a06082a8648ce3d030107', 'hex'),
    ]),
    format: 'der',
    type: 'sec1',
  });
  const digest = randomBytes(32);
  const signature = signDigest('ec-p256', short, digest);
  assert.ok(verifyDigest('ec-p256', createPublicKey(short), { digest, signature }));
});

test.run();
