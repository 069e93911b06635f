import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Certificate,
  encodeCertificatesPem,
  isCa,
  isSelfSigned,
  parseCertificate,
  parseCertificatesPem,
} from '../../../src/x509/certificate.ts';
import {
  type Element,
  encode,
  oid,
  raw,
  sequence,
  set,
  text,
  universal,
} from '../../../src/x509/der/asn1.ts';
import { decodeName, formatName, isSameName, parseName } from '../../../src/x509/name.ts';
import { failureOf } from '../../support/failure.ts';
import {
  before1970,
  otherName,
  trusted,
  universalString,
} from '../../support/x509/found-certificates.ts';
import { oddCertificate, tlv } from '../../support/x509/odd-certificate.ts';
import { makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('reading certificates');
const { bitString, bmpString, generalizedTime, utcTime, utf8String } = universal;

/** The output of the openssl command about a certificate. */
function printed(der: Buffer, ...what: readonly string[]): string {
  using files = new Workspace();
  const path = files.write('it.pem', encodeCertificatesPem([{ der }]));
  return openssl('x509', '-in', path, '-noout', ...what);
}

async function read(oddities: Parameters<typeof oddCertificate>[0]): Promise<Certificate> {
  return parseCertificate(await oddCertificate(oddities), 'it');
}

const times: readonly (readonly [number, string, string])[] = [
  [utcTime, '240229235958Z', '2024-02-29T23:59:58Z'],
  [utcTime, '500101000000Z', '1950-01-01T00:00:00Z'],
  [utcTime, '491231235959Z', '2049-12-31T23:59:59Z'],
  [utcTime, '240101000000+0130', '2023-12-31T22:30:00Z'],
  [utcTime, '240101000000-0800', '2024-01-01T08:00:00Z'],
  [generalizedTime, '99991231235959Z', '9999-12-31T23:59:59Z'],
  [generalizedTime, '19690720201740Z', '1969-07-20T20:17:40Z'],
  [generalizedTime, '20240101000000.5Z', '2024-01-01T00:00:00.500Z'],
  [generalizedTime, '20240101000000.123456Z', '2024-01-01T00:00:00.123Z'],
  [generalizedTime, '20240101000000+0100', '2023-12-31T23:00:00Z'],
  [generalizedTime, '20240101000000.5-0100', '2024-01-01T01:00:00.500Z'],
  [generalizedTime, '00500101000000Z', '0050-01-01T00:00:00Z'],
  [generalizedTime, '00000101000000Z', '0000-01-01T00:00:00Z'],
];

test('accepts times without seconds, as OpenSSL did until 3.5', async () => {
  for (const [type, digits] of [
    [utcTime, '2401010203Z'],
    [generalizedTime, '202401010203Z'],
  ] as const) {
    const it = await read({ notBefore: text(type, digits), notAfter: text(type, digits) });
    const meant = Date.parse('2024-01-01T02:03:00Z');
    assert.equal([it.notBefore.getTime(), it.notAfter.getTime()], [meant, meant]);
  }
});

/** The same digits and offset, parsed by Date as ISO 8601. */
function isoTimeOf(type: number, digits: string): number {
  const full = type === utcTime ? `20${digits}` : digits;
  const iso = full
    .replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/, '$1-$2-$3T$4:$5:$6')
    .replace(/(\d\d)(\d\d)$/, '$1:$2');
  return Date.parse(iso);
}

for (const [type, digits, meant] of times) {
  // the output of openssl for a time with an offset from UTC depends on its version
  const isPrinted = digits.endsWith('Z');
  test(`reads ${digits} as ${meant}${isPrinted ? ', as openssl does' : ''}`, async () => {
    const it = await read({ notBefore: text(type, digits), notAfter: text(type, digits) });
    assert.is(it.notBefore.getTime(), Date.parse(meant));
    assert.is(it.notAfter.getTime(), Date.parse(meant));
    if (!isPrinted) return assert.is(it.notAfter.getTime(), isoTimeOf(type, digits));
    const [date = '', time = ''] = meant.slice(0, 19).split('T');
    const [year, month = '', day] = date.split('-').map(Number);
    const name = new Date(Date.UTC(2000, Number(month) - 1)).toLocaleString('en', {
      month: 'short',
      timeZone: 'UTC',
    });
    const shown = new RegExp(`notAfter=${name} +${day} ${time}(\\.\\d+)? ${year} GMT`);
    assert.match(printed(it.der, '-enddate'), shown);
  });
}

test('refuses invalid times, which OpenSSL only detects when it prints them', async () => {
  for (const [type, digits] of [
    [utcTime, 'ABCDEFGHIJKLM'],
    [utcTime, '261399000000Z'],
    [utcTime, '990230000000Z'],
    [utcTime, '990230000000+'],
    [utcTime, '240101000000'],
    [utcTime, '240101000060Z'],
    [utcTime, '240101000000+9900'],
    [generalizedTime, '20240101240000Z'],
    [generalizedTime, '20240101000000.Z'],
    [generalizedTime, '20230229000000Z'],
    [utf8String, '240101000000Z'],
  ] as const) {
    const odd = { notBefore: text(type, digits) };
    assert.is(await failureOf(() => read(odd)), 'InvalidArgs', digits);
  }
});

const name = (...parts: readonly Element[]): Element => sequence(...parts);
const part = (type: string, value: Element): Element => sequence(oid(type), value);
const cn = '2.5.4.3';

const subjects: readonly (readonly [string, Element])[] = [
  ['CN=Gerät 7', name(set(part(cn, text(bmpString, 'Gerät 7'))))],
  ['CN=Ger\u00e4t', name(set(part(cn, text(universal.teletexString, 'Gerät'))))],
  ['CN=42', name(set(part(cn, text(universal.numericString, '42'))))],
  [
    'CN=\\ #a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\ ',
    name(set(part(cn, text(utf8String, ' #a,b+c"d\\e<f>g;h ')))),
  ],
  ['CN=\\#x', name(set(part(cn, text(utf8String, '#x'))))],
  [
    'CN=edge,O=Contoso',
    name(
      set(part('2.5.4.10', text(utf8String, 'Contoso'))),
      set(part(cn, text(utf8String, 'edge'))),
    ),
  ],
  [
    'serialNumber=42+CN=edge',
    name(
      set(
        part(cn, text(utf8String, 'edge')),
        part('2.5.4.5', text(universal.printableString, '42')),
      ),
    ),
  ],
  [
    '1.3.6.1.4.1.311.60.9.9=#0C026162',
    name(set(part('1.3.6.1.4.1.311.60.9.9', text(utf8String, 'ab')))),
  ],
  [
    'SN=Doe,GN=Jo',
    name(
      set(part('2.5.4.42', text(utf8String, 'Jo'))),
      set(part('2.5.4.4', text(utf8String, 'Doe'))),
    ),
  ],
  ['2.5.4.45=#030200AA', name(set(part('2.5.4.45', text(bitString, '\0\xaa'))))],
];

for (const [expected, subject] of subjects) {
  test(`formats the subject ${expected} as openssl does`, async () => {
    const it = await read({ subject });
    assert.is(it.subjectText, expected);
    assert.is(it.issuerText, expected);
    const options = [
      '-nameopt',
      `RFC2253,-esc_msb,utf8${expected.includes('+') ? ',-dn_rev' : ''}`,
    ];
    // openssl knows more short names than RFC 4514
    const shown = printed(it.der, '-subject', ...options).replace(
      'x500UniqueIdentifier',
      '2.5.4.45',
    );
    assert.is(shown.replace(/^subject=/, '').replace(/\n$/, ''), expected);
  });
}

test('reads a subject in UTF-32', () => {
  const [it] = parseCertificatesPem(Buffer.from(universalString), 'it');
  assert.is(it?.subjectText, 'CN=edge-universal');
  const shown = printed(it?.der ?? Buffer.alloc(0), '-subject', '-nameopt', 'RFC2253');
  assert.is(shown, 'subject=CN=edge-universal\n');
});

test('formats no half characters and no end of a string', () => {
  for (const [expected, value] of [
    ['CN=a\uFFFDb', raw(tlv(bmpString, Buffer.from('0061d8000062', 'hex')))],
    ['CN=a\uFFFD', text(universal.universalString, '\0\0\0a\0\x11\0\0')],
    ['CN=a\uFFFD', text(universal.universalString, '\0\0\0a\0\0\xd8\0')],
    ['CN=#1C0161', text(universal.universalString, 'a')],
    ['CN=a\\00b', text(utf8String, 'a\0b')],
    ['CN=a\uFFFD', raw(tlv(utf8String, Buffer.from('61ff', 'hex')))],
  ] as const) {
    assert.is(formatName(decodeName(name(set(part(cn, value))))), expected);
  }
});

test('compares names regardless of the order within a part', () => {
  const [one, other] = [parseName('CN=a+O=b,C=DE'), parseName('O=b+CN=a,C=DE')];
  assert.ok(isSameName(one, other));
  assert.not.ok(isSameName(one, parseName('CN=a,O=b,C=DE')));
});

const dns = tlv(0x82, 'good.example');
const oddNames: readonly (readonly [string, Buffer])[] = [
  ['otherName', tlv(0xa0, Buffer.concat([tlv(6, '\x2b\x06'), tlv(0xa0, tlv(0x0c, 'x'))]))],
  ['otherName without DER inside', tlv(0xa0, 'xyz')],
  ['x400Address', tlv(0xa3, tlv(0x30, ''))],
  ['directoryName', tlv(0xa4, encode(sequence(set(part(cn, text(utf8String, 'x'))))))],
  ['ediPartyName', tlv(0xa5, tlv(0xa1, tlv(0x0c, 'x')))],
  ['registeredID', tlv(0x88, '\x2a\x03')],
  ['address of 5 bytes', tlv(0x87, '\x01\x02\x03\x04\x05')],
  ['address of no bytes', tlv(0x87, '')],
  ['name with a NUL in it', tlv(0x82, 'a\0.evil.example')],
  ['name that is empty', tlv(0x82, '')],
  ['name in UTF-8', tlv(0x82, Buffer.from('gerät.example'))],
  ['tag above 30', Buffer.from([0x9f, 0x82, 0x01, 1, 0x78])],
];

for (const [what, odd] of oddNames) {
  test(`returns the names beside a ${what}, before and after it`, async () => {
    for (const list of [
      [odd, dns],
      [dns, odd],
    ]) {
      const it = await read({ names: sequenceOf(...list) });
      assert.equal(it.alternativeNames, ['dns:good.example']);
    }
  });
}

test('returns alternative names as they are in a certificate of other origin', async () => {
  const names = sequenceOf(
    tlv(0x82, 'Edge.Example.'),
    tlv(0x82, 'part*.example'),
    tlv(0x82, 'xn--gert-moa.example'),
    tlv(0x81, 'a@b.example'),
    tlv(0x86, 'urn:uuid:1'),
    tlv(0x87, '\x7f\0\0\x01'),
    tlv(0x87, `${'\0'.repeat(15)}\x01`),
  );
  assert.equal((await read({ names })).alternativeNames, [
    'dns:edge.example.',
    'dns:part*.example',
    'dns:xn--gert-moa.example',
    'email:a@b.example',
    'uri:urn:uuid:1',
    'ip:127.0.0.1',
    'ip:::1',
  ]);
});

test('returns the names of an extension with trailing garbage, and none of an invalid one', async () => {
  const broken = tlv(0x30, Buffer.concat([dns, tlv(0x82, 'x', 100)]));
  assert.equal((await read({ names: broken })).alternativeNames, ['dns:good.example']);
  for (const none of [tlv(0x30, ''), tlv(0x04, 'x'), Buffer.from([0x30, 0x7f])]) {
    assert.equal((await read({ names: none })).alternativeNames, []);
  }
});

test('reads a hardware module name beside a DNS name', () => {
  const [it] = parseCertificatesPem(Buffer.from(otherName), 'it');
  assert.equal(it?.alternativeNames, ['dns:edge-1.example']);
});

test('ignores what OpenSSL appended to the certificate as trust settings', () => {
  const [it] = parseCertificatesPem(Buffer.from(trusted), 'it');
  assert.is(it?.subjectText, 'CN=Root');
  assert.ok(it && isSelfSigned(it));
  using files = new Workspace();
  const plain = openssl('x509', '-in', files.write('t.pem', trusted));
  assert.is(encodeCertificatesPem([it]), plain);
});

test('reads times before 1970', () => {
  const [it] = parseCertificatesPem(Buffer.from(before1970), 'it');
  assert.equal(it?.notBefore, new Date('1950-01-01T00:00:00Z'));
  assert.equal(it?.notAfter, new Date('2049-12-31T23:59:59Z'));
});

test('treats a root of version 1 as a CA, and no other certificate of version 1', async () => {
  const key = makeKey('ec-p256');
  assert.ok(isCa(await read({ version: 1, key })));
  assert.not.ok(
    isCa(await read({ version: 1, issuer: name(set(part(cn, text(utf8String, 'x')))), by: key })),
  );
  assert.not.ok(isCa(await read({ key })));
});

test('normalizes the encoding of a key', async () => {
  using files = new Workspace();
  const plain = openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout');
  const key = files.write('plain.key', plain);
  const spki = openssl('ec', '-in', key, '-pubout');
  const expected = spki.replace(/-----.*-----|\s/g, '');
  for (const form of [
    ['-param_enc', 'explicit'],
    ['-conv_form', 'compressed'],
    ['-conv_form', 'hybrid'],
  ]) {
    const other = files.write('other.key', openssl('ec', '-in', key, ...form));
    const pem = openssl('req', '-new', '-x509', '-key', other, '-subj', '/CN=x');
    const [it] = parseCertificatesPem(Buffer.from(pem), 'it');
    assert.is(it?.spki.toString('base64'), expected, form.join(' '));
    assert.ok(it && isSelfSigned(it));
    assert.is(encodeCertificatesPem([it]), pem);
  }
});

test('refuses EC parameters that match no named curve, with the reason', async () => {
  using files = new Workspace();
  const key = files.write(
    'explicit.key',
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-param_enc', 'explicit'),
  );
  const spki = openssl('ec', '-in', key, '-pubout').replace(/-----.*-----|\s/g, '');
  const bytes = Buffer.from(spki, 'base64');
  // twice the generator is a generator too, of a curve without a name
  const generator = Buffer.from('046b17d1f2e12c4247', 'hex');
  const at = bytes.indexOf(generator);
  assert.ok(at > 0);
  Buffer.from(
    '047cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc4766997807775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1',
    'hex',
  ).copy(bytes, at);
  const der = await oddCertificate({ spki: bytes });
  const reason = await Promise.resolve()
    .then(() => parseCertificate(der, 'the data'))
    .then(() => 'taken', String);
  assert.match(reason, /the key of the data has explicit EC parameters that are those of no named/);
});

test('reads a certificate for a kind of key that OpenSSL does not know', async () => {
  const unknown = sequence(sequence(oid('1.3.6.1.4.1.99999.1')), text(bitString, '\0key'));
  const it = await read({ spki: encode(unknown) });
  assert.is(it.publicKey, undefined);
  assert.equal(it.spki, encode(unknown));
  assert.not.ok(isSelfSigned(it));
});

test('refuses bytes after a certificate, and a truncated one', async () => {
  const { der } = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  assert.is(
    await failureOf(() => parseCertificate(Buffer.concat([der, der]), 'it')),
    'InvalidArgs',
  );
  for (let length = 0; length < der.length; length += 11) {
    assert.is(
      await failureOf(() => parseCertificate(der.subarray(0, length), 'it')),
      'InvalidArgs',
    );
  }
});

function sequenceOf(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

test.run();
