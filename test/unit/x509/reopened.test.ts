/** Certificates that were parsed before have the same fields when they are read again from their own encoding. */
import { KeyObject, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { isCanonical, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificate,
  parseCertificatesPem,
  reopenCertificatesPem,
} from '../../../src/x509/certificate.ts';
import { readFields } from '../../../src/x509/certificate-fields.ts';
import { oid, sequence, set, text, universal } from '../../../src/x509/der/asn1.ts';
import { decodeEncodedPem, encodePem } from '../../../src/x509/pem.ts';
import { damaged } from '../../component/x509/arbitrary.ts';
import { failureOf } from '../../support/failure.ts';
import { holds } from '../../support/property.ts';
import {
  before1970,
  crossSigned,
  labelledAsCertificate,
  otherName,
  universalString,
} from '../../support/x509/found-certificates.ts';
import { oddCertificate } from '../../support/x509/odd-certificate.ts';
import { keyKinds, makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('certificates that are read again');

const found = [before1970, crossSigned, labelledAsCertificate, otherName, universalString].flatMap(
  (pem) => parseCertificatesPem(Buffer.from(pem), 'it'),
);
const made = await Promise.all(
  keyKinds.map((kind) => makeCa({ name: 'CN=ca', key: makeKey(kind) })),
);
const odd = parseCertificate(
  await oddCertificate({ names: Buffer.from('300687047f000001', 'hex') }),
  'it',
);
const all = [...found, ...made, odd];

/** Every field, in a form that can be compared. */
function fieldsOf(certificate: Certificate): readonly (readonly [string, unknown])[] {
  return Object.entries(readFields(certificate))
    .map(([name, value]): readonly [string, unknown] => {
      if (value instanceof X509Certificate) return [name, value.fingerprint256];
      if (!(value instanceof KeyObject)) return [name, value];
      return [name, value.export({ format: 'der', type: 'spki' })];
    })
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
}

test('have the same fields, one by one and together', () => {
  const again = reopenCertificatesPem(encodeCertificatesPem(all), 'it');
  assert.equal(again.map(fieldsOf), all.map(fieldsOf));
});

test('are malformed at once when what is shown of them is', async () => {
  const withoutValue = sequence(set(sequence(oid('2.5.4.3'))));
  for (const oddities of [
    { subject: withoutValue },
    { issuer: withoutValue },
    { notAfter: text(universal.utcTime, '240230000000Z') },
  ]) {
    const pem = encodePem(await oddCertificate(oddities), 'CERTIFICATE');
    assert.is(await failureOf(() => reopenCertificatesPem(pem, 'it')), 'InvalidArgs');
  }
});

test('are read completely from any other text', async () => {
  const [one] = all;
  assert.ok(one !== undefined);
  const pem = encodeCertificatesPem([one]);
  const others = [
    pem.replaceAll('\n', '\r\n'),
    `a comment\n${pem}`,
    `${pem}\n`,
    pem.trimEnd(),
    pem.replaceAll('CERTIFICATE', 'X509 CERTIFICATE'),
    pem.replace('\n', '\n\n'),
  ];
  for (const other of others) {
    assert.is(decodeEncodedPem(other, 'CERTIFICATE'), undefined, other);
    assert.equal(reopenCertificatesPem(other, 'it').map(fieldsOf), [fieldsOf(one)], other);
  }
  for (const bad of [
    '',
    pem.replace('M', '!'),
    pem.replace('BEGIN', 'BEG1N'),
    encodePem(Buffer.from('x'), 'CERTIFICATE'),
  ]) {
    assert.is(await failureOf(() => reopenCertificatesPem(bad, 'it')), 'InvalidArgs', bad);
  }
});

test('have the same fields after any damage that leaves a certificate, and a code after any other', () => {
  holds(
    fc.property(damaged(all.map(({ der }) => der)), (der) => {
      const pem = encodePem(der, 'CERTIFICATE');
      const before = outcomeOf(() =>
        [parseCertificate(der, 'it')].filter((one) => one.der.equals(der)),
      );
      const again = outcomeOf(() => reopenCertificatesPem(pem, 'it'));
      // only what was parsed and encoded is read again
      if (Array.isArray(before) && before.length > 0) assert.equal(again, before);
    }),
    400,
  );
});

function outcomeOf(read: () => readonly Certificate[]): unknown {
  try {
    return read().map(fieldsOf);
  } catch (error) {
    if (isServiceError(error, 'InvalidArgs')) return error.code;
    throw error;
  }
}

test('have a key that needs no conversion, unless it is of another kind or compressed', () => {
  for (const [kind, expected] of [
    ['ec-p256', true],
    ['ec-p384', true],
    ['ec-p521', true],
    ['ed25519', true],
    ['rsa-2048', false],
  ] as const) {
    const spki = spkiOf(makeKey(kind));
    assert.is(isCanonical(spki), expected, kind);
    assert.not(isCanonical(Buffer.concat([spki, Buffer.alloc(1)])));
  }
  const compressed = Buffer.from(spkiOf(makeKey('ec-p256')));
  compressed[26] = 0x02;
  assert.not(isCanonical(compressed));
});

test.run();
