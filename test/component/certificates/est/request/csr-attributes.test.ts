import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  parseCsrAttributes,
  wantsChallengePassword,
} from '../../../../../src/certificates/est/request/csr-attributes.ts';
import { betterKeys } from '../../../../../src/certificates/est/request/key-demands.ts';
import { unmetBy } from '../../../../../src/certificates/est/request/unmet-demands.ts';
import { isServiceError } from '../../../../../src/errors.ts';
import { localSigner, spkiOf } from '../../../../../src/x509/algorithm.ts';
import { buildCsr } from '../../../../../src/x509/csr.ts';
import {
  bitString,
  context,
  encode,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../../../../../src/x509/der/asn1.ts';
import { extendedKeyUsage } from '../../../../../src/x509/extensions.ts';
import { parseName } from '../../../../../src/x509/name.ts';

const test = suite('EST csrattrs');
const namesIn = (der: Buffer | string): readonly string[] =>
  parseCsrAttributes(typeof der === 'string' ? Buffer.from(der, 'base64') : der).map(
    ({ name }) => name,
  );

const rfc7030 =
  'MEEGCSqGSIb3DQEJBwYIKoZIzj0EAwMwFgYJKoZIhvcNAQkOMQkGBysGAQEBARYwEgYHKoZIzj0CATEHBgUrgQQAIg==';
const libest = 'MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==';

test('want nothing when they are empty', () => {
  assert.equal(namesIn(Buffer.alloc(0)), []);
  assert.equal(namesIn(Buffer.from('3000', 'hex')), []);
});

test('are the example of RFC 7030', () => {
  const wanted = [
    'challengePassword',
    'ecdsa-with-SHA384',
    'macAddress',
    'id-ecPublicKey',
    'secp384r1',
  ];
  assert.equal(namesIn(rfc7030), wanted);
  assert.ok(wantsChallengePassword(parseCsrAttributes(Buffer.from(rfc7030, 'base64'))));
});

test('are the bare OIDs of libest', () => {
  assert.equal(namesIn(libest), ['macAddress', 'emailAddress', 'secp384r1', 'SHA-384']);
  assert.not(wantsChallengePassword(parseCsrAttributes(Buffer.from(libest, 'base64'))));
});

const clientAuth = extendedKeyUsage(['clientAuth']);
const wantedExtensions = sequence(
  sequence(oid('2.5.29.37'), octetString(clientAuth.value)),
  sequence(oid('2.5.29.17')),
);

test('are extensions with and without values', () => {
  const der = encode(sequence(sequence(oid('1.2.840.113549.1.9.14'), set(wantedExtensions))));
  assert.equal(namesIn(der), ['extKeyUsage', 'subjectAltName']);
});

/** A template of RFC 9908 with a subject, a key and extensions. */
function template(key = sequence(sequence(oid('1.2.840.10045.2.1'), oid('1.3.132.0.34')))): Buffer {
  const { value } = key;
  if (typeof value === 'string') throw new Error('a key is constructed');
  const subject = sequence(
    set(sequence(oid('2.5.4.10'), text(universal.utf8String, 'Contoso'))),
    set(sequence(oid('2.5.4.3'))),
  );
  const attributes = [
    sequence(oid('1.2.840.113549.1.9.16.2.62'), set(wantedExtensions)),
    sequence(oid('1.2.840.113549.1.9.7')),
  ];
  const parts = [integer(0), subject, context(0, value), context(1, attributes)];
  return encode(sequence(sequence(oid('1.2.840.113549.1.9.16.2.61'), set(sequence(...parts)))));
}

test('are the template of RFC 9908', () => {
  const wanted = ['organizationName', 'commonName', 'id-ecPublicKey', 'secp384r1'];
  const attributes = ['extKeyUsage', 'subjectAltName', 'challengePassword'];
  assert.equal(namesIn(template()), [...wanted, ...attributes]);
});

test('are a key that the template wants in place of another', () => {
  const wanted = parseCsrAttributes(template());
  assert.equal(betterKeys(wanted, 'ec-p256', ['rsa-2048', 'ec-p384']), ['ec-p384']);
  assert.equal(betterKeys(wanted, 'ec-p384', ['rsa-2048', 'ec-p256']), []);
});

test('are the length of an RSA key', () => {
  const plain = sequence(
    sequence(oid('1.2.840.113549.1.1.1'), set(integer(Buffer.from('0c00', 'hex')))),
  );
  assert.equal(namesIn(encode(plain)), ['rsaEncryption of 3072 bits']);
  const modulus = sequence(integer(Buffer.alloc(384, 0xff)), integer(3));
  const rsa = sequence(
    sequence(oid('1.2.840.113549.1.1.1'), nullValue()),
    bitString(encode(modulus)),
  );
  assert.ok(namesIn(template(rsa)).includes('rsaEncryption of 3072 bits'));
  const lengths = ['rsa-2048', 'rsa-3072'] as const;
  assert.equal(betterKeys(parseCsrAttributes(template(rsa)), 'ec-p256', lengths), ['rsa-3072']);
});

const bad: Readonly<Record<string, Buffer>> = {
  text: Buffer.from('<html></html>'),
  'half of it': Buffer.from(rfc7030, 'base64').subarray(0, 40),
  'bytes behind it': Buffer.from('30000500', 'hex'),
  'a number': encode(integer(5)),
  'a number in it': encode(sequence(integer(5))),
  'too many': encode(sequence(...Array.from({ length: 65 }, () => oid('2.5.4.3')))),
};

for (const [name, der] of Object.entries(bad)) {
  test(`are refused when they are ${name}`, () => {
    assert.throws(
      () => parseCsrAttributes(der),
      (error: unknown) => isServiceError(error, 'InvalidArgs'),
    );
  });
}

async function unmet(key: KeyObject, der: Buffer | string): Promise<readonly string[]> {
  const signer = localSigner(key);
  const spki = spkiOf(key);
  const subject = parseName('CN=edge,O=Contoso');
  const csr = await buildCsr({ subject, spki, extensions: [clientAuth], signer });
  const demands = parseCsrAttributes(typeof der === 'string' ? Buffer.from(der, 'base64') : der);
  return unmetBy({ content: csr, spki, signature: signer.algorithm }, demands);
}

test('are met by the curve and the hash of a key', async () => {
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  assert.equal(await unmet(p384, libest), ['macAddress', 'emailAddress']);
  assert.equal(await unmet(p256, libest), ['macAddress', 'emailAddress', 'secp384r1', 'SHA-384']);
});

test('are met by subject, extensions and values', async () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  assert.equal(await unmet(p384, template()), ['subjectAltName', 'challengePassword']);
});

test('are met by the length of an RSA key', async () => {
  const plain = encode(
    sequence(sequence(oid('1.2.840.113549.1.1.1'), set(integer(Buffer.from('0c00', 'hex'))))),
  );
  const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).privateKey;
  assert.equal(await unmet(rsa(3072), plain), []);
  assert.equal(await unmet(rsa(2048), plain), ['rsaEncryption of 3072 bits']);
});

test.run();
