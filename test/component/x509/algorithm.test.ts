/** The supported keys of certificates, and their signature algorithms. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import {
  decodeAlgorithm,
  encodeAlgorithm,
  keyAlgorithmOf,
  keyDigest,
  localSigner,
  publicKeyOf,
  type SignatureAlgorithm,
  signatureAlgorithmFor,
  spkiOf,
  verifySignature,
} from '../../../src/x509/algorithm.ts';
import { encode, oid, sequence } from '../../../src/x509/der/asn1.ts';
import { failureOf } from '../../support/failure.ts';
import { makeKey } from '../../support/x509/openssl.ts';

const test = suite('keys and signatures of certificates');

/** A public RSA key with this number of bits; whether its modulus has two primes does not matter here. */
function rsaOf(bits: number): KeyObject {
  const modulus = (1n << BigInt(bits - 1)) + 1n;
  const hex = modulus.toString(16);
  const n = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  const jwk = { kty: 'RSA', n: n.toString('base64url'), e: 'AQAB' };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

test('may be RSA with 2048 to 4096 bits, and hash with SHA-384 from 3072 bits on', async () => {
  for (const [bits, kind, signature] of [
    [2048, 'rsa-2048', 'rsa-pkcs1-sha256'],
    [3064, 'rsa-2048', 'rsa-pkcs1-sha256'],
    [3072, 'rsa-3072', 'rsa-pkcs1-sha384'],
    [4088, 'rsa-3072', 'rsa-pkcs1-sha384'],
    [4096, 'rsa-4096', 'rsa-pkcs1-sha384'],
  ] as const) {
    assert.is(keyAlgorithmOf(rsaOf(bits)), kind, String(bits));
    assert.is(signatureAlgorithmFor(rsaOf(bits)), signature, String(bits));
  }
  for (const bits of [1024, 2040, 4104, 8192]) {
    assert.is(await failureOf(() => keyAlgorithmOf(rsaOf(bits))), 'NotSupported', String(bits));
  }
});

test('may be on three curves or Ed25519, and of no other kind', async () => {
  for (const [kind, signature] of [
    ['ec-p256', 'ecdsa-sha256'],
    ['ec-p384', 'ecdsa-sha384'],
    ['ec-p521', 'ecdsa-sha512'],
    ['ed25519', 'ed25519'],
  ] as const) {
    assert.is(keyAlgorithmOf(makeKey(kind)), kind);
    assert.is(signatureAlgorithmFor(makeKey(kind)), signature);
  }
  const others = [
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    generateKeyPairSync('ed448'),
    generateKeyPairSync('x25519'),
  ];
  for (const { publicKey } of others) {
    assert.is(await failureOf(() => keyAlgorithmOf(publicKey)), 'NotSupported');
  }
});

/** The encoding of OpenSSL: RSA with NULL parameters, the others with none (RFC 4055, 5758, 8410). */
const identifiers: Readonly<Record<SignatureAlgorithm, string>> = {
  'ecdsa-sha256': '300a06082a8648ce3d040302',
  'ecdsa-sha384': '300a06082a8648ce3d040303',
  'ecdsa-sha512': '300a06082a8648ce3d040304',
  'rsa-pkcs1-sha256': '300d06092a864886f70d01010b0500',
  'rsa-pkcs1-sha384': '300d06092a864886f70d01010c0500',
  'rsa-pkcs1-sha512': '300d06092a864886f70d01010d0500',
  ed25519: '300506032b6570',
};
const known = Object.entries(identifiers) as [SignatureAlgorithm, string][]; // of the table above

test('encode and decode the identifier of every signature algorithm', () => {
  for (const [algorithm, der] of known) {
    assert.is(encode(encodeAlgorithm(algorithm)).toString('hex'), der, algorithm);
    assert.is(decodeAlgorithm(encodeAlgorithm(algorithm)), algorithm);
  }
});

test('refuse signatures with MD5 and SHA-1, and RSA-PSS', async () => {
  for (const id of [
    '1.2.840.113549.1.1.4',
    '1.2.840.113549.1.1.5',
    '1.2.840.113549.1.1.10',
    '1.2.840.10045.4.1',
    '1.3.101.113',
  ]) {
    assert.is(await failureOf(() => decodeAlgorithm(sequence(oid(id)))), 'NotSupported', id);
  }
  assert.is(await failureOf(() => decodeAlgorithm(undefined)), 'InvalidArgs');
});

test('verify a signature only with its key, message and algorithm', async () => {
  const keys = (['ec-p256', 'rsa-2048', 'ed25519'] as const).map(makeKey);
  const message = Buffer.from('message');
  for (const key of keys) {
    const { algorithm, sign } = localSigner(key);
    const signature = await sign(message);
    const publicKey = createPublicKey(key);
    assert.ok(verifySignature(algorithm, publicKey, { message, signature }));
    const other = { message: Buffer.from('massage'), signature };
    assert.not.ok(verifySignature(algorithm, publicKey, other));
    for (const [wrong] of known) {
      if (wrong === algorithm) continue;
      const is = verifySignature(wrong, publicKey, { message, signature });
      assert.not.ok(is, `${algorithm} as ${wrong}`);
    }
    for (const stranger of keys) {
      if (stranger === key) continue;
      const is = verifySignature(algorithm, createPublicKey(stranger), { message, signature });
      assert.is(is, false);
    }
  }
});

test('are identified by the SHA-256 of their public half', () => {
  const spki = spkiOf(makeKey('ed25519'));
  assert.equal(keyDigest(spki), createHash('sha256').update(spki).digest());
  assert.equal(spkiOf(publicKeyOf(spki)), spki);
  assert.throws(
    () => publicKeyOf(Buffer.from('3003020101', 'hex')),
    (error: unknown) => isServiceError(error, 'InvalidArgs'),
  );
});

test.run();
