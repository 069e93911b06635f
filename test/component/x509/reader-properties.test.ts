/** Properties that hold for every value and not only for the examples of the other files. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  encodeCertificatesPem,
  parseCertificate,
  parseCertificatesPem,
  parsePkcs7,
  readCertificates,
} from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { buildCsr, parseCsr } from '../../../src/x509/csr.ts';
import {
  bitString,
  context,
  decode,
  type Element,
  encode,
  integer,
  maxInputBytes,
  octetString,
  oid,
  sequence,
  set,
  text,
  time,
  universal,
} from '../../../src/x509/der/asn1.ts';
import { bitsOf, bytesOf, oidOf, smallIntegerOf } from '../../../src/x509/der/read.ts';
import { elementsIn, firstElement, type Span, spanAt } from '../../../src/x509/der/tlv.ts';
import {
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  readAlternativeNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  subjectAlternativeName,
} from '../../../src/x509/extensions.ts';
import {
  decodeName,
  encodeName,
  formatName,
  isSameName,
  nameTextOf,
  parseName,
} from '../../../src/x509/name.ts';
import { encodePem, parsePem } from '../../../src/x509/pem.ts';
import { certificatesInPkcs7, encodePkcs7 } from '../../../src/x509/pkcs7.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { decodeValidity } from '../../../src/x509/validity.ts';
import { holds, holdsAsync } from '../../support/property.ts';
import {
  before1970,
  crossSigned,
  labelledAsCertificate,
  otherName,
  trusted,
  universalString,
} from '../../support/x509/found-certificates.ts';
import { makeKey } from '../../support/x509/openssl.ts';
import { alternativeNames, bytes, damaged, dotted, elements, names, usages } from './arbitrary.ts';

const test = suite('properties of the X.509 readers and writers');

const key = makeKey('ed25519');
const signer = localSigner(key);
const pems = [
  before1970,
  crossSigned,
  labelledAsCertificate,
  otherName,
  trusted,
  universalString,
].map((pem) => Buffer.from(pem));
const ders = pems.flatMap((pem) => parseCertificatesPem(pem, 'it').map(({ der }) => der));
const csr = await buildCsr({
  subject: parseName('CN=edge,O=Contoso'),
  spki: spkiOf(key),
  extensions: [keyUsage(['digitalSignature']), basicConstraints({ ca: false })],
  signer,
});

/** Reads bytes with every reader; all may throw only the codes of a ServiceError. */
function readEverything(data: Buffer): void {
  const readers: readonly (() => unknown)[] = [
    () => decode(data, 'it'),
    () => decode(data, 'it', { ber: true }),
    () => [...elementsIn(data)],
    () => parseCertificate(data, 'it'),
    () => readCertificates(data, 'it'),
    () => parseCertificatesPem(data, 'it'),
    () => parsePkcs7(data, 'it'),
    () => parsePem(data, ['CERTIFICATE'], 'it'),
    () => parseCsr(data),
  ];
  for (const read of readers) {
    try {
      read();
    } catch (error) {
      if (isServiceError(error, 'InvalidArgs') || isServiceError(error, 'NotSupported')) continue;
      throw error;
    }
  }
}

test('any bytes are read or refused with a code', () => {
  holds(
    fc.property(bytes(600), (data) => readEverything(data)),
    150,
  );
});

test('any damage to a certificate, a request, PKCS#7 or PEM is read or refused with a code', () => {
  const whole = [...ders, ...pems, csr, encodePkcs7(ders.map((der) => ({ der })))];
  holds(
    fc.property(damaged(whole), (data) => readEverything(data)),
    400,
  );
});

test('inputs as large as allowed, of the same few bytes, are read or refused with a code', () => {
  const inputs = fc.tuple(fc.constantFrom(maxInputBytes, 1 << 20), damaged([csr]), bytes(6, 1));
  holds(
    fc.property(inputs, ([size, head, filling]) => {
      const rest = Buffer.alloc(size - Math.min(size, head.length), filling);
      readEverything(Buffer.concat([head, rest]).subarray(0, size));
    }),
    8,
  );
});

test('an element is read as it was written', () => {
  holds(
    fc.property(elements, (element) => {
      const der = encode(element);
      assert.equal(plain(decode(der, 'it')), plain(element));
      assert.equal(encode(decode(der, 'it')), der);
      assert.equal(firstElement(der)?.bytes, der);
    }),
    200,
  );
});

/** An element without the other fields of the reader. */
function plain({ tagClass, type, constructed, value }: Element): unknown {
  const inside = typeof value === 'string' ? value : value.map(plain);
  return { tagClass, type, constructed, value: inside };
}

test('DER with one byte more, one less or another length is not DER', () => {
  holds(
    fc.property(elements, fc.integer({ min: 0, max: 255 }), (element, byte) => {
      const der = encode(element);
      const others = [Buffer.concat([der, Buffer.from([byte])]), der.subarray(0, -1)];
      // the same length in one octet more
      if (der.readUInt8(1) < 0x80) {
        others.push(Buffer.concat([der.subarray(0, 1), Buffer.from([0x81]), der.subarray(1)]));
      }
      for (const other of others) {
        assert.throws(
          () => decode(other, 'it'),
          (error: unknown) => isServiceError(error, 'InvalidArgs'),
        );
      }
    }),
    100,
  );
});

test('numbers, bits, octets and object identifiers are read as they were written', () => {
  holds(
    fc.property(
      fc.nat({ max: 255 }),
      fc.uniqueArray(fc.nat({ max: 31 })),
      bytes(80),
      dotted,
      (number, bits, octets, id) => {
        assert.is(smallIntegerOf(again(integer(number)), 'it'), number);
        assert.equal(
          bitsOf(again(bitString(bits)), 'it'),
          bits.toSorted((one, other) => one - other),
        );
        assert.equal(bytesOf(again(octetString(octets)), 'octetString', 'it'), octets);
        assert.is(oidOf(again(oid(id)), 'it'), id);
      },
    ),
    150,
  );
});

test('an INTEGER of unsigned bytes has the fewest bytes and is not negative', () => {
  holds(
    fc.property(bytes(24, 1), (value) => {
      const content = bytesOf(integer(value), 'integer', 'it');
      assert.is(BigInt(`0x${content.toString('hex')}`), BigInt(`0x${value.toString('hex')}`));
      assert.ok(content.readUInt8(0) < 0x80);
      assert.ok(content.length === 1 || content[0] !== 0 || (content[1] ?? 0) >= 0x80);
    }),
    150,
  );
});

function spanOf(der: Buffer): Span {
  const whole = spanAt(der, 0);
  assert.ok(whole !== undefined);
  return whole;
}

function outcomeOf(read: () => string): string | readonly string[] {
  try {
    return read();
  } catch (error) {
    if (isServiceError(error, 'InvalidArgs')) return [error.code];
    throw error;
  }
}

function again(element: Element): Element {
  return decode(encode(element), 'it');
}

test('the members of a SET are in the order of their DER', () => {
  holds(
    fc.property(fc.array(elements, { maxLength: 5 }), (members) => {
      const content = encode(set(...members));
      const inside = [...elementsIn(firstElement(content)?.content ?? Buffer.alloc(0))];
      const written = inside.map((one) => one.bytes.toString('hex'));
      assert.equal(written, members.map((one) => encode(one).toString('hex')).toSorted());
    }),
    60,
  );
});

test('a time is read as it was written, from the year 0 to 9999', () => {
  const dates = fc.date({
    min: new Date('0000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  });
  const edges = ['1949-12-31T23:59:59Z', '1950-01-01T00:00:00Z', '2049-12-31T23:59:59Z'];
  const any = fc.oneof(dates, fc.constantFrom(...edges, '2050-01-01T00:00:00Z'));
  holds(
    fc.property(any, (value) => {
      const whole = new Date(Math.floor(new Date(value).getTime() / 1000) * 1000);
      const written = time(whole);
      const year = whole.getUTCFullYear();
      const isShort = year >= 1950 && year <= 2049; // RFC 5280 4.1.2.5
      assert.is(written.type, isShort ? universal.utcTime : universal.generalizedTime);
      const validity = encode(sequence(written, written));
      const read = decodeValidity(validity, spanOf(validity), 'it');
      assert.equal(read, { notBefore: whole, notAfter: whole });
    }),
    200,
  );
});

test('a name is the same in DER and in text', () => {
  holds(
    fc.property(names, (name) => {
      const decoded = decodeName(decode(encodeName(name), 'it'));
      assert.ok(isSameName(decoded, name), formatName(decoded));
      assert.is(decoded.length, name.length);
      assert.equal(parseName(formatName(name)), name);
      assert.equal(encodeName(parseName(formatName(decoded))), encodeName(name));
    }),
    300,
  );
});

test('the text of a name is that of its parts, also after any damage', () => {
  const encoded = names.map(encodeName);
  const any = fc.oneof(
    encoded,
    encoded.chain((der) => damaged([der])),
  );
  holds(
    fc.property(any, (der) => {
      const whole = spanAt(der, 0);
      if (whole?.end !== der.length) return;
      const parts = outcomeOf(() => formatName(decodeName(decode(der, 'it', { ber: true }))));
      assert.equal(
        outcomeOf(() => nameTextOf(der, whole, 'it')),
        parts,
      );
    }),
    2000,
  );
});

test('any text is a name or refused with InvalidArgs', () => {
  const pieces = ['CN', 'C', 'O', '=', ',', '+', '\\', ' ', '#', '"', 'ä', '\\20', '\0', 'x'];
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join('')),
  );
  holds(
    fc.property(texts, (value) => {
      try {
        const name = parseName(value);
        assert.equal(parseName(formatName(name)), name);
      } catch (error) {
        if (!isServiceError(error, 'InvalidArgs')) throw error;
      }
    }),
    400,
  );
});

test('PEM is read as it was written, with every encoding and every line end', () => {
  const labels = fc.constantFrom('CERTIFICATE', 'X509 CRL', 'A-B', 'PKCS #7 SIGNED DATA');
  const codings = fc.constantFrom('latin1', 'utf16le', 'UTF-16 with a mark');
  const blocks = fc.array(fc.tuple(bytes(200, 1), labels), { maxLength: 4 });
  const ends = fc.constantFrom('\n', '\r\n', '\r');
  holds(
    fc.property(blocks, codings, ends, (all, coding, end) => {
      const pem = all.map(([der, label]) => encodePem(der, label)).join('');
      assert.ok(pem.split('\n').every((line) => line.length <= 64));
      const lines = pem.replaceAll('\n', end);
      const file =
        coding === 'UTF-16 with a mark'
          ? Buffer.from(`\uFEFF${lines}`, 'utf16le').swap16()
          : Buffer.from(lines, coding === 'latin1' ? coding : 'utf16le');
      const read = parsePem(
        file,
        all.map(([, label]) => label),
        'it',
      );
      assert.equal(
        read.map(({ der, label }) => [der, label]),
        all,
      );
    }),
    100,
  );
});

test('PKCS#7 contains the certificates that were encoded', () => {
  const certificates = fc.array(
    fc.array(elements, { maxLength: 3 }).map((members) => encode(sequence(...members))),
    { minLength: 1, maxLength: 5 },
  );
  holds(
    fc.property(certificates, (all) => {
      const bundle = encodePkcs7(all.map((der) => ({ der })));
      assert.equal(certificatesInPkcs7(bundle, 'it'), all);
    }),
    80,
  );
});

test('rights and other names are read as they were written', () => {
  const purposes = fc.uniqueArray(fc.constantFrom('serverAuth', 'clientAuth', '1.2.3', '2.999.1'));
  const lengths = fc.option(fc.nat({ max: 255 }), { nil: undefined });
  holds(
    fc.property(usages, purposes, lengths, alternativeNames, (used, wanted, pathLength, others) => {
      assert.equal(new Set(readKeyUsage(keyUsage(used))), new Set(used));
      assert.equal(readExtendedKeyUsage(extendedKeyUsage(wanted)), wanted);
      const constraints = { ca: true, pathLength };
      assert.equal(readBasicConstraints(basicConstraints(constraints)), constraints);
      assert.equal(readAlternativeNames(subjectAlternativeName(others)), others);
      for (const { kind, value } of others)
        assert.equal(parseAlternativeName(kind, value), { kind, value });
    }),
    100,
  );
});

test('a certificate and a request contain the values that they were built with', async () => {
  const spki = spkiOf(key);
  const seconds = fc
    .integer({ min: -2_208_988_800, max: 253_402_300_799 })
    .map((value) => new Date(value * 1000));
  await holdsAsync(
    fc.asyncProperty(names, alternativeNames, usages, seconds, seconds, async (...all) => {
      const [name, others, used, notBefore, notAfter] = all;
      const extensions = [
        ...(others.length === 0 ? [] : [subjectAlternativeName(others)]),
        ...(used.length === 0 ? [] : [keyUsage(used)]),
      ];
      const subjectDer = encodeName(name);
      const issuer = {
        subjectDer: encodeName(parseName('CN=ca')),
        keyIdentifier: Buffer.alloc(20, 1),
      };
      const content = { subjectDer, spki, validity: { notBefore, notAfter }, extensions };
      const der = await buildCertificate(content, issuer, signer);
      const [it] = parseCertificatesPem(Buffer.from(encodeCertificatesPem([{ der }])), 'it');
      assert.ok(it);
      assert.equal([it.der, it.subjectDer, it.issuerDer], [der, subjectDer, issuer.subjectDer]);
      assert.equal([it.notBefore, it.notAfter], [notBefore, notAfter]);
      assert.equal(it.spki, spki);
      assert.equal(
        it.alternativeNames,
        others.map(({ kind, value }) => `${kind}:${value}`),
      );
      const request = parseCsr(await buildCsr({ subject: name, spki, extensions, signer }));
      assert.equal(request.subjectDer, subjectDer);
      assert.equal(request.requested.alternativeNames, others);
      assert.equal(new Set(request.requested.keyUsage), new Set(used));
    }),
    60,
  );
});

test('a context tag contains the element that was encoded', () => {
  holds(
    fc.property(fc.nat({ max: 30 }), bytes(40), (number, octets) => {
      const it = again(context(number, octets));
      assert.equal([it.tagClass, it.type, it.constructed], [0x80, number, false]);
      assert.is(it.value, octets.toString('latin1'));
      const around = again(context(number, [text(universal.utf8String, 'x')]));
      assert.equal([around.tagClass, around.type, around.constructed], [0x80, number, true]);
    }),
    50,
  );
});

test.run();
