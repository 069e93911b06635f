import {
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { parseMaterial } from '../../../../src/keys/material/material.ts';
import { spkiOf } from '../../../../src/keys/material/private-key.ts';

const test = suite('key material');

function derOf(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

function assertRefused(der: Buffer, why: string): void {
  const isInvalid = (error: unknown) => isServiceError(error, 'InvalidArgs');
  assert.throws(() => parseMaterial('pkcs8', der, undefined), isInvalid, why);
}

for (const namedCurve of ['prime256v1', 'secp384r1', 'secp521r1']) {
  test(`refuses a private key of ${namedCurve} with the public half of another`, () => {
    const [key, other] = [1, 2].map(() => generateKeyPairSync('ec', { namedCurve }).privateKey);
    assert.ok(key && other);
    const der = derOf(key);
    assert.not.throws(() => parseMaterial('pkcs8', der, undefined));
    const size = { prime256v1: 64, secp384r1: 96, secp521r1: 132 }[namedCurve] ?? 0;
    derOf(other)
      .subarray(-size)
      .copy(der, der.length - size);
    const mixed = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    assert.equal(spkiOf(mixed), spkiOf(other), 'OpenSSL takes the public half as it is');
    assertRefused(der, namedCurve);
  });
}

test('accepts consistent RSA and Ed25519 keys', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
  assert.is(parseMaterial('pkcs8', derOf(rsa.privateKey), undefined).algorithm, 'rsa-2048');
  const { privateKey } = generateKeyPairSync('ed25519');
  assert.is(parseMaterial('pkcs8', derOf(privateKey), undefined).algorithm, 'ed25519');
});

test('refuses an RSA key with any inconsistent part, also where OpenSSL signs nevertheless', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  const message = Buffer.from('m');
  for (const part of ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
    const bytes = Buffer.from(jwk[part] ?? '', 'base64url');
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 2;
    const changed: JsonWebKey = { ...jwk, [part]: bytes.toString('base64url') };
    const key = createPrivateKey({ key: changed, format: 'jwk' });
    if (part === 'dp') assert.ok(verify('sha256', message, key, sign('sha256', message, key)));
    assertRefused(derOf(key), part);
  }
});

test('refuses an RSA key whose primes are not the factors of its modulus, though all other parts are consistent', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  const number = (part: string | undefined) =>
    BigInt(`0x${Buffer.from(part ?? '', 'base64url').toString('hex')}`);
  const [e, d, q] = [jwk.e, jwk.d, jwk.q].map(number);
  assert.ok(e !== undefined && d !== undefined && q !== undefined);
  // a wrong prime with matching exponents
  const p = [5n, 7n, 13n, 17n, 3n].find((one) => (d * e) % (one - 1n) === 1n && q % one !== 0n);
  assert.ok(p);
  const qi = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n, 13n, 14n, 15n, 16n].find(
    (one) => (one * q) % p === 1n,
  );
  const part = (value: bigint) => Buffer.of(Number(value)).toString('base64url');
  const mixed: JsonWebKey = { ...jwk, p: part(p), dp: part(d % (p - 1n)), qi: part(qi ?? 0n) };
  assertRefused(derOf(createPrivateKey({ key: mixed, format: 'jwk' })), `p = ${p}`);
});

test('refuses an RSA key whose exponent is 1', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = privateKey.export({ format: 'jwk' });
  const one = Buffer.of(1).toString('base64url');
  const trivial: JsonWebKey = { ...jwk, e: one, d: one, dp: one, dq: one };
  assertRefused(derOf(createPrivateKey({ key: trivial, format: 'jwk' })), 'e = 1');
});

test.run();
