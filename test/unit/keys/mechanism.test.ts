import { constants, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import {
  parsePairAlgorithms,
  parsePairUsages,
  parseSymmetricAlgorithm,
  parseSymmetricUsages,
} from '../../../src/keys/algorithm.ts';
import { signDigest } from '../../../src/keys/crypto/ecdsa.ts';
import { verifySignature } from '../../../src/keys/crypto/verify.ts';
import { ecdsaFromDer, ecdsaToDer } from '../../../src/keys/material/der.ts';
import { parseMaterial } from '../../../src/keys/material/material.ts';
import {
  parseEncryptMechanism,
  parseSignMechanism,
  parseSignRequest,
  signsWith,
} from '../../../src/keys/mechanism.ts';

const test = suite('algorithms and mechanisms');

function refuses(parse: () => unknown): void {
  assert.throws(parse, (error: unknown) => isServiceError(error, 'InvalidArgs'));
}

test('knows its algorithms and their defaults', () => {
  assert.equal(parsePairAlgorithms([]), ['ec-p256', 'rsa-2048']);
  assert.equal(parsePairAlgorithms(['ed25519', 'rsa-4096']), ['ed25519', 'rsa-4096']);
  for (const text of ['rsa-1024', 'aes-256', 'ec-p224', '', 'EC-P256']) {
    refuses(() => parsePairAlgorithms([text]));
  }
  assert.is(parseSymmetricAlgorithm('aes-256'), 'aes-256');
  refuses(() => parseSymmetricAlgorithm('aes-128'));
});

test('knows the usages of each algorithm', () => {
  assert.equal(parsePairUsages([]), ['sign']);
  assert.equal(parsePairUsages(['decrypt', 'sign', 'sign']), ['sign', 'decrypt']);
  refuses(() => parsePairUsages(['derive']));
  assert.equal(parseSymmetricUsages('aes-256', []), ['encrypt']);
  assert.equal(parseSymmetricUsages('hmac-sha256', ['derive', 'sign']), ['sign', 'derive']);
  refuses(() => parseSymmetricUsages('hmac-sha256', ['encrypt']));
  refuses(() => parseSymmetricUsages('aes-256', ['sign']));
  refuses(() => parseSymmetricUsages('aes-256', ['derive']));
});

test('accepts a digest of exactly the length of the hash', () => {
  const sha384 = parseSignMechanism('ecdsa-sha384');
  parseSignRequest(sha384, Buffer.alloc(48), true);
  for (const length of [0, 32, 47, 49, 64]) {
    refuses(() => parseSignRequest(sha384, Buffer.alloc(length), true));
  }
  refuses(() => parseSignRequest(parseSignMechanism('ed25519'), Buffer.alloc(32), true));
  refuses(() => parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.alloc(32), true));
});

test('refuses mechanisms that it does not support', () => {
  for (const text of ['ecdsa-sha1', 'rsa-raw', 'rsa-pkcs1', '__proto__', 'hmac-sha512', '']) {
    refuses(() => parseSignMechanism(text));
    refuses(() => parseEncryptMechanism(text));
  }
  assert.not(signsWith('ec-p256', parseSignMechanism('ed25519')));
  assert.not(signsWith('ed25519', parseSignMechanism('ecdsa-sha256')));
  assert.not(signsWith('rsa-2048', parseSignMechanism('hmac-sha256')));
  assert.not(signsWith('aes-256', parseSignMechanism('hmac-sha256')));
});

test('accepts an ECDSA signature in DER and in no other form', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const data = randomBytes(50);
  const digest = createHash('sha256').update(data).digest();
  const mechanism = parseSignMechanism('ecdsa-sha256');
  const forms = [
    parseSignRequest(mechanism, data, false),
    parseSignRequest(mechanism, digest, true),
  ];
  const raw = signDigest('ec-p256', privateKey, digest);
  const der = ecdsaToDer(raw);
  const padded = Buffer.concat([
    Buffer.of(0x30, (der[1] ?? 0) + 1, 0x02, (der[3] ?? 0) + 1, 0),
    der.subarray(4),
  ]);
  const wrong = [
    raw,
    Buffer.alloc(0),
    Buffer.alloc(64),
    der.subarray(0, -1),
    Buffer.concat([der, Buffer.of(0)]),
    padded,
    ecdsaToDer(Buffer.alloc(64)),
    ecdsaToDer(Buffer.alloc(64, 0xff)),
    Buffer.of(0x30, 0x80),
    Buffer.of(0x30, 0x81, 0x06, 2, 1, 1, 2, 1, 1),
  ];
  for (const request of forms) {
    assert.ok(verifySignature({ algorithm: 'ec-p256', spki }, request, der));
    for (const signature of wrong) {
      assert.not(verifySignature({ algorithm: 'ec-p256', spki }, request, signature));
    }
  }
  assert.equal(ecdsaFromDer(der, 32), raw);
});

test('requires the salt of a PSS signature to be as long as the hash', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const mechanism = parseSignMechanism('rsa-pss-sha256');
  const data = Buffer.from('data');
  const digest = createHash('sha256').update(data).digest();
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  for (const saltLength of [0, 20, 32, 64]) {
    const signature = sign('sha256', data, { key: privateKey, padding, saltLength });
    for (const [bytes, prehashed] of [
      [data, false],
      [digest, true],
    ] as const) {
      const request = parseSignRequest(mechanism, bytes, prehashed);
      const valid = verifySignature({ algorithm: 'rsa-2048', spki }, request, signature);
      assert.is(valid, saltLength === 32);
    }
  }
});

test('accepts key material of exactly the declared type', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  assert.is(parseMaterial('pkcs8', der, undefined).algorithm, 'ec-p256');
  refuses(() => parseMaterial('pkcs8', der, 'aes-256'));
  refuses(() => parseMaterial('pkcs8', Buffer.concat([der, Buffer.of(0)]), undefined));
  refuses(() => parseMaterial('pkcs8', der.subarray(0, -1), undefined));
  refuses(() => parseMaterial('pkcs8', Buffer.alloc(0), undefined));
  const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
  refuses(() => parseMaterial('pkcs8', other.export({ type: 'pkcs8', format: 'der' }), undefined));
  for (const length of [0, 15, 129]) {
    refuses(() => parseMaterial('raw', Buffer.alloc(length), 'hmac-sha256'));
  }
  refuses(() => parseMaterial('raw', Buffer.alloc(31), 'aes-256'));
  refuses(() => parseMaterial('raw', Buffer.alloc(32), undefined));
  refuses(() => parseMaterial('pem', der, undefined));
});

test.run();
