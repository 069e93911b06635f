import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCsrAttributes } from '../../../../../src/certificates/est/request/csr-attributes.ts';
import {
  bestSignature,
  betterKeys,
} from '../../../../../src/certificates/est/request/key-demands.ts';
import type { KeyAlgorithm, SignatureAlgorithm } from '../../../../../src/x509/algorithm.ts';
import {
  type Element,
  encode,
  integer,
  oid,
  sequence,
  set,
} from '../../../../../src/x509/der/asn1.ts';

const test = suite('keys that EST servers want');
const p256 = oid('1.2.840.10045.3.1.7');
const p384 = oid('1.3.132.0.34');
const p521 = oid('1.3.132.0.35');
const sha384 = oid('2.16.840.1.101.3.4.2.2');
const ecdsa384 = oid('1.2.840.10045.4.3.3');
const rsa256 = oid('1.2.840.113549.1.1.11');
const rsa = oid('1.2.840.113549.1.1.1');
const ecKey = oid('1.2.840.10045.2.1');
const rsaOf = (bits: number) =>
  sequence(rsa, set(integer(Buffer.from(bits.toString(16).padStart(4, '0'), 'hex'))));
const onCurve = (curve: typeof p256) => sequence(ecKey, set(curve));
const demandsOf = (...wanted: readonly Element[]) =>
  parseCsrAttributes(encode(sequence(...wanted)));

const all: readonly KeyAlgorithm[] = ['ec-p256', 'ec-p384', 'ec-p521', 'ed25519', 'rsa-2048'];
const keys: readonly [string, readonly Element[], string, KeyAlgorithm[]?][] = [
  ['one of the curve', [p384], 'ec-p384'],
  ['one of the curve of a key', [onCurve(p384)], 'ec-p384'],
  ['one of the curve of an Edwards key', [oid('1.3.101.112')], 'ed25519'],
  ['one of the length', [rsaOf(3072)], 'rsa-3072', ['ec-p256', 'rsa-2048', 'rsa-3072']],
  ['any of the kind', [rsa], 'rsa-2048,rsa-3072', ['ec-p256', 'rsa-2048', 'rsa-3072']],
  ['any that can sign so', [rsa256], 'rsa-2048'],
  ['one of the curve, of those that have the hash', [p384, sha384], 'ec-p384'],
  ['none for a hash alone', [sha384], ''],
  ['none for a signature that the key can have', [ecdsa384], ''],
  ['none for a curve among others', [p384, p256], ''],
  ['none for its own curve', [onCurve(p256)], ''],
  ['none that is no better', [onCurve(p521)], '', ['ec-p256', 'ec-p384']],
  ['none in place of another length', [rsaOf(4096)], '', ['ec-p256', 'rsa-2048']],
  ['none where it has to stay', [p384], '', []],
  ['none for what is no key', [oid('1.3.6.1.1.1.1.22')], ''],
];

for (const [name, wanted, expected, alternatives = all] of keys) {
  test(`in place of P-256 are ${name}`, () => {
    assert.is(betterKeys(demandsOf(...wanted), 'ec-p256', alternatives).join(), expected);
  });
}

test('in place of RSA are none of another curve than the wanted one', () => {
  const wanted = demandsOf(onCurve(p521));
  assert.equal(betterKeys(wanted, 'rsa-2048', ['rsa-2048', 'ec-p384']), []);
  assert.equal(betterKeys(wanted, 'rsa-2048', ['rsa-2048', 'ec-p384', 'ec-p521']), ['ec-p521']);
});

test('in place of Ed25519 are those that have the wanted hash', () => {
  const [own, ...others] = ['ed25519', 'ec-p384', 'rsa-2048'] as const;
  assert.equal(betterKeys(demandsOf(sha384), own, [own, ...others]), others);
});

const signatures: readonly [readonly Element[], KeyAlgorithm, SignatureAlgorithm][] = [
  [[], 'ec-p256', 'ecdsa-sha256'],
  [[sha384], 'ec-p256', 'ecdsa-sha384'],
  [[sha384], 'rsa-2048', 'rsa-pkcs1-sha384'],
  [[ecdsa384], 'ec-p256', 'ecdsa-sha384'],
  [[ecdsa384], 'rsa-2048', 'rsa-pkcs1-sha256'],
  [[sha384], 'ed25519', 'ed25519'],
  [[sha384, oid('2.16.840.1.101.3.4.2.1')], 'ec-p256', 'ecdsa-sha256'],
];

for (const [wanted, key, expected] of signatures) {
  const text = demandsOf(...wanted).map(({ name }) => name);
  test(`sign with ${expected} where ${text.join(' and ') || 'nothing'} is wanted of ${key}`, () => {
    const own = key === 'ed25519' ? key : key === 'ec-p256' ? 'ecdsa-sha256' : 'rsa-pkcs1-sha256';
    assert.is(bestSignature(demandsOf(...wanted), { key, signature: own }), expected);
  });
}

test.run();
