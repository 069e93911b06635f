/** Every field of a certificate, compared with its source. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, isCa, parseCertificate } from '../../../src/x509/certificate.ts';
import { integer, raw, text, universal } from '../../../src/x509/der/asn1.ts';
import { elementsIn, firstElement } from '../../../src/x509/der/tlv.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  subjectKeyId,
} from '../../../src/x509/extensions.ts';
import { failureOf } from '../../support/failure.ts';
import { nameOf, oddCertificate, tlv } from '../../support/x509/odd-certificate.ts';
import { makeKey } from '../../support/x509/openssl.ts';

const test = suite('the fields of a certificate');
const key = makeKey('ed25519');

async function read(oddities: Parameters<typeof oddCertificate>[0]): Promise<Certificate> {
  return parseCertificate(await oddCertificate({ key, ...oddities }), 'it');
}

const withExtensions = (...extensions: readonly Extension[]): Promise<Certificate> =>
  read({ extensions });

test('include its version, names, times, fingerprint and key', async () => {
  const it = await read({
    subject: nameOf('CN=subject'),
    issuer: nameOf('CN=issuer'),
    notBefore: text(universal.utcTime, '200101000000Z'),
    notAfter: text(universal.utcTime, '210101000000Z'),
  });
  assert.is(it.version, 3);
  assert.is((await read({ version: 1 })).version, 1);
  assert.equal([it.subjectText, it.issuerText], ['CN=subject', 'CN=issuer']);
  assert.equal(
    [raw(it.subjectDer), raw(it.issuerDer)],
    [nameOf('CN=subject'), nameOf('CN=issuer')],
  );
  assert.is(it.notBefore.toISOString(), '2020-01-01T00:00:00.000Z');
  assert.is(it.notAfter.toISOString(), '2021-01-01T00:00:00.000Z');
  assert.is(it.fingerprint, createHash('sha256').update(it.der).digest('hex'));
  assert.equal(it.spki, spkiOf(key));
});

test('include its serial number in hexadecimal, of any length', async () => {
  const serialOf = async (hex: string) =>
    (await read({ serial: integer(Buffer.from(hex, 'hex')) })).serialNumber;
  assert.is(await serialOf('00'), '00');
  assert.is(await serialOf('0a'), '0a');
  assert.is(await serialOf('abcdef'), 'abcdef');
  assert.is(await serialOf('ff'.repeat(19)), 'ff'.repeat(19));
});

test('include its rights, undefined where it does not restrict them', async () => {
  const silent = await withExtensions();
  assert.is(silent.keyUsage, undefined);
  assert.is(silent.extendedKeyUsage, undefined);
  assert.is(silent.basicConstraints.ca, false);
  assert.equal(silent.alternativeNames, []);
  const outspoken = await withExtensions(
    basicConstraints({ ca: true, pathLength: 3 }),
    keyUsage(['cRLSign']),
    extendedKeyUsage(['serverAuth', '1.2.3']),
  );
  assert.equal(outspoken.keyUsage, ['cRLSign']);
  assert.equal(outspoken.extendedKeyUsage, ['serverAuth', '1.2.3']);
  assert.equal(outspoken.basicConstraints, { ca: true, pathLength: 3 });
});

test('include the identifier of its key, computed where it is missing', async () => {
  const bits = spkiOf(key).subarray(-32);
  const computed = createHash('sha1').update(bits).digest();
  assert.equal((await withExtensions()).keyIdentifier, computed);
  const own = Buffer.from('identifier');
  assert.equal((await withExtensions(subjectKeyId(own))).keyIdentifier, own);
});

test('mark it as a CA when it declares so and its key may sign certificates', async () => {
  const ca = basicConstraints({ ca: true });
  for (const [extensions, expected] of [
    [[ca], true],
    [[ca, keyUsage(['keyCertSign'])], true],
    [[ca, keyUsage(['digitalSignature', 'cRLSign'])], false],
    [[keyUsage(['keyCertSign'])], false],
    [[basicConstraints({ ca: false }), keyUsage(['keyCertSign'])], false],
    [[], false],
  ] as const) {
    assert.is(isCa(await withExtensions(...extensions)), expected);
  }
});

test('are read once', async () => {
  const twice = [keyUsage(['cRLSign']), keyUsage(['keyCertSign'])];
  assert.is(await failureOf(() => withExtensions(...twice)), 'InvalidArgs');
});

test('are read from BER too, byte for byte', async () => {
  const der = await oddCertificate({ key });
  const [tbs, ...behind] = elementsIn(firstElement(der)?.content ?? der);
  const parts = [...elementsIn(tbs?.content ?? der)].map(({ bytes }, at) => {
    const isValidity = at === 4;
    if (!isValidity) return bytes;
    // the length in one octet more than needed
    return Buffer.concat([bytes.subarray(0, 1), Buffer.from([0x81]), bytes.subarray(1)]);
  });
  const long = (content: Buffer): Buffer =>
    content.length < 128
      ? tlv(0x30, content)
      : Buffer.concat([Buffer.from([0x30, 0x81, content.length]), content]);
  const unsigned = long(Buffer.concat(parts));
  const ber = long(Buffer.concat([unsigned, ...behind.map(({ bytes }) => bytes)]));
  const it = parseCertificate(ber, 'it');
  assert.is(it.subjectText, 'CN=odd');
  assert.equal(it.der, ber);
});

test.run();
