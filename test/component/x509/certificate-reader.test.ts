/** Files and arguments that contain certificates, in every format that tools write. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeError } from '../../../src/errors.ts';
import {
  encodeCertificatesPem,
  parseCertificatesPem,
  parsePkcs7,
  readCertificates,
} from '../../../src/x509/certificate.ts';
import { encodePem } from '../../../src/x509/pem.ts';
import { encodePkcs7 } from '../../../src/x509/pkcs7.ts';
import { failureOf } from '../../support/failure.ts';
import { labelledAsCertificate, trusted } from '../../support/x509/found-certificates.ts';
import { tlv } from '../../support/x509/odd-certificate.ts';
import { makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('reading files of certificates');

const one = await makeCa({ name: 'CN=one', key: makeKey('ec-p256') });
const two = await makeCa({ name: 'CN=two', key: makeKey('ed25519') });
const first = encodeCertificatesPem([one]);
const second = encodeCertificatesPem([two]);
const pem = first + second;
const utf8Mark = '\uFEFF';

function utf16(text: string, order: 'little' | 'big'): Buffer {
  const bytes = Buffer.from(text, 'utf16le');
  return order === 'little' ? bytes : bytes.swap16();
}

const block = (label: string, body = 'AAAA'): string =>
  `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;

const forms: readonly (readonly [string, Buffer | string])[] = [
  ['plain PEM', pem],
  ['PEM without a line feed at the end', pem.trimEnd()],
  ['PEM with a UTF-8 mark', utf8Mark + pem],
  ['joined files with UTF-8 marks', utf8Mark + first + utf8Mark + second],
  ['UTF-16 with a mark, little-endian', utf16(utf8Mark + pem.replaceAll('\n', '\r\n'), 'little')],
  ['UTF-16 with a mark, big-endian', utf16(utf8Mark + pem, 'big')],
  ['UTF-16 without a mark, little-endian', utf16(pem, 'little')],
  ['UTF-16 without a mark, big-endian', utf16(`text\n${pem}`, 'big')],
  ['UTF-16 that ends in half a character', Buffer.concat([utf16(pem, 'little'), Buffer.alloc(1)])],
  ['lines that end in CR and LF', pem.replaceAll('\n', '\r\n')],
  ['lines that end in CR', pem.replaceAll('\n', '\r')],
  ['blanks at the ends of lines', pem.replaceAll('\n', ' \t\n')],
  ['files joined without a line feed', first.trimEnd() + second],
  ['blanks before lines', pem.replaceAll(/^/gm, '  ')],
  ['empty lines within', pem.replaceAll('\n', '\n\n')],
  ['long lines', pem.replaceAll(/([A-Za-z0-9+/=]{60,})\n(?!-)/g, '$1')],
  ['a NUL at the end', `${pem}\0`],
  ['the end mark of DOS', `${pem}\r\n\x1a`],
  [
    'text around the blocks',
    `subject=/CN=one\n${first} 1 s:CN = two\n   i:CN = two\n${second}---\n`,
  ],
  ['text that begins like DER', `0 s:/CN=one\n${pem}`],
  ['text in other scripts', `Gerät, 設備\n${pem}`],
  ['headers', first.replace('-----\n', '-----\nProc-Type: 4,CLEAR\nX-Note: a\n b\n\n') + second],
  ['headers without an empty line', first.replace('-----\n', '-----\nX-Note: a\n') + second],
  ['another label', pem.replaceAll(' CERTIFICATE', ' X509 CERTIFICATE')],
  ['OpenSSL’s label without its data', pem.replaceAll(' CERTIFICATE', ' TRUSTED CERTIFICATE')],
  ['EC parameters', block('EC PARAMETERS', 'BggqhkjOPQMBBw==') + pem],
  ['DH parameters', first + block('DH PARAMETERS') + block('X9.42 DH PARAMETERS') + second],
  ['a CRL', `${pem}${block('X509 CRL')}`],
  ['a request and public keys', block('CERTIFICATE REQUEST') + pem + block('PUBLIC KEY')],
  ['an unrelated block that is not base64', `${block('SOMETHING ELSE', '%%%')}${pem}`],
  ['PKCS#7', encodePem(encodePkcs7([one, two]), 'PKCS7')],
  ['CMS', encodePem(encodePkcs7([one, two]), 'CMS')],
  ['PKCS#7 by its old name', encodePem(encodePkcs7([one, two]), 'PKCS #7 SIGNED DATA')],
  ['a chain', encodePem(encodePkcs7([one, two]), 'CERTIFICATE CHAIN')],
  ['PKCS#7 that is called a certificate', encodePem(encodePkcs7([one, two]), 'CERTIFICATE')],
  ['a certificate and PKCS#7', first + encodePem(encodePkcs7([two]), 'PKCS7')],
  ['PKCS#7 in DER', encodePkcs7([one, two])],
];

for (const [what, content] of forms) {
  test(`reads ${what}`, () => {
    const read = readCertificates(Buffer.from(content), 'the file');
    assert.equal(
      read.map(({ fingerprint }) => fingerprint),
      [one.fingerprint, two.fingerprint],
    );
  });
}

test('reads one certificate in DER', () => {
  assert.is(readCertificates(one.der, 'the file')[0]?.fingerprint, one.fingerprint);
});

test('reads a certificate followed by padding, as openssl does', () => {
  using files = new Workspace();
  for (const padding of [Buffer.alloc(100), Buffer.alloc(100, 0xff), Buffer.from('\r\n')]) {
    const bytes = Buffer.concat([one.der, padding]);
    assert.equal(readCertificates(bytes, 'the file')[0]?.der, one.der);
    const path = files.write('padded', bytes);
    assert.is(openssl('x509', '-inform', 'DER', '-in', path), first);
  }
});

test('reads the formats of openssl: with text, with its trust settings, as PKCS#7 with a CRL', async () => {
  using files = new Workspace();
  const path = files.write('pem', pem);
  const text = openssl('x509', '-in', path, '-text');
  assert.is(readCertificates(Buffer.from(text), 'it')[0]?.fingerprint, one.fingerprint);
  const forTrust = openssl('x509', '-in', path, '-addtrust', 'serverAuth', '-setalias', 'One');
  assert.match(forTrust, 'TRUSTED');
  assert.is(readCertificates(Buffer.from(forTrust), 'it')[0]?.fingerprint, one.fingerprint);
  const key = files.write('key', openssl('genpkey', '-algorithm', 'ed25519'));
  const root = openssl('req', '-new', '-x509', '-key', key, '-subj', '/CN=crl');
  const rootPath = files.write('root', root);
  const settings = `[ca]\ndefault_ca=x\n[x]\ndatabase=${files.write('index', '')}\ndefault_md=sha256\ndefault_crl_days=1\n`;
  const config = files.write('config', settings);
  const crl = openssl('ca', '-config', config, '-gencrl', '-keyfile', key, '-cert', rootPath);
  const crlPath = files.write('crl', crl);
  const bundle = openssl('crl2pkcs7', '-in', crlPath, '-certfile', rootPath);
  assert.is(encodeCertificatesPem(parsePkcs7(Buffer.from(bundle), 'it')), root);
  assert.is(encodeCertificatesPem(readCertificates(Buffer.from(root + crl), 'it')), root);
});

test('reads PKCS#7 with indefinite lengths, as Bouncy Castle writes it, and preserves every byte', async () => {
  const oid = (hex: string): Buffer => tlv(6, Buffer.from(hex, 'hex'));
  const endless = (tag: number, ...parts: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.alloc(2)]);
  const data = oid('2a864886f70d010701');
  const content = endless(0x30, data, endless(0xa0, endless(0x24, tlv(4, 'text'))));
  const berOf = (...set: readonly Buffer[]): Buffer => {
    const parts = [tlv(2, '\x01'), tlv(0x31, ''), content, endless(0xa0, ...set), tlv(0x31, '')];
    return endless(0x30, oid('2a864886f70d010702'), endless(0xa0, endless(0x30, ...parts)));
  };
  // between them an attribute certificate, which is skipped
  const ber = berOf(one.der, tlv(0xa1, tlv(0x30, '')), two.der);
  const expected = [one.fingerprint, two.fingerprint];
  for (const form of [ber, Buffer.from(encodePem(ber, 'PKCS7'))]) {
    const read = parsePkcs7(form, 'it').map(({ fingerprint }) => fingerprint);
    assert.equal(read, expected);
  }
  using files = new Workspace();
  const path = files.write('ber', berOf(one.der, two.der));
  const printed = openssl('pkcs7', '-inform', 'DER', '-in', path, '-print_certs');
  assert.is(parseCertificatesPem(Buffer.from(printed), 'it').length, 2);
  for (let length = 0; length < ber.length; length += 3) {
    assert.is(await failureOf(() => parsePkcs7(ber.subarray(0, length), 'it')), 'InvalidArgs');
  }
});

test('reads a Netscape certificate sequence', () => {
  using files = new Workspace();
  const path = files.write('pem', pem);
  const sequence = openssl('nseq', '-in', path, '-toseq');
  assert.is(readCertificates(Buffer.from(sequence), 'it').length, 2);
});

test('reads PKCS#7 under the label of a certificate', () => {
  const names = parsePkcs7(Buffer.from(labelledAsCertificate), 'it').map((it) => it.subjectText);
  assert.equal(names, ['CN=New Root', 'CN=leaf', 'CN=Int']);
});

test('reads a file that is all blanks up to its last byte', () => {
  const blanks = Buffer.concat([Buffer.alloc(200_000, 0x20), Buffer.from(`\n${pem}`)]);
  assert.is(readCertificates(blanks, 'it').length, 2);
});

test('reads a bundle as large as those of operating systems, and limits its size', async () => {
  const text = `${'#'.repeat(800_000)}\n${pem}`;
  assert.is(readCertificates(Buffer.from(text), 'it').length, 2);
  const larger = `${'#'.repeat(1 << 20)}\n${pem}`;
  assert.is(await failureOf(() => readCertificates(Buffer.from(larger), 'it')), 'InvalidArgs');
  assert.is(
    await failureOf(() => readCertificates(Buffer.from(first.repeat(513)), 'it')),
    'InvalidArgs',
  );
});

test('limits the nesting of PKCS#7', async () => {
  const deep = Buffer.concat([Buffer.alloc(200_000, Buffer.from([0x30, 0x80])), Buffer.alloc(9)]);
  assert.is(await failureOf(() => readCertificates(deep, 'it')), 'InvalidArgs');
});

const damaged = first.replace('\n', '\n%');
const failures: readonly (readonly [string, Buffer | string, RegExp])[] = [
  ['an empty file', '', /^\/a\.pem is empty$/],
  ['blanks', ' \n\n', /^\/a\.pem is neither PEM nor whole DER$/],
  ['a web page', '<html>', /^\/a\.pem is neither PEM nor whole DER$/],
  ['text that looks like an element', 'r'.repeat(200), /^\/a\.pem is neither PEM nor whole DER$/],
  ['truncated DER', one.der.subarray(0, 300), /^\/a\.pem is neither PEM nor whole DER$/],
  [
    'two certificates in DER',
    Buffer.concat([one.der, two.der]),
    /^\/a\.pem is not a certificate: bytes come behind it$/,
  ],
  [
    'a second block that does not end',
    first + second.slice(0, 200),
    /^\/a\.pem, block 2 \(line \d+\), does not end$/,
  ],
  [
    'a first block that does not end',
    `${first.slice(0, 200)}\n${second}`,
    /^\/a\.pem, block 1 \(line 1\), does not end$/,
  ],
  [
    'a block that does not begin',
    `${first}${second.slice(30)}`,
    /^\/a\.pem, line \d+, ends a PEM block that does not begin$/,
  ],
  [
    'a block that is not base64',
    second + damaged,
    /^\/a\.pem, block 2 \(line \d+\), is not base64$/,
  ],
  [
    'a block without content',
    second + block('CERTIFICATE', ''),
    /^\/a\.pem, block 2 \(line \d+\), is not base64$/,
  ],
  [
    'a block without a certificate',
    second + block('CERTIFICATE'),
    /^\/a\.pem, block 2 \(line \d+\), is not a certificate: error:/,
  ],
  [
    'a certificate that is encrypted',
    block('CERTIFICATE', 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA'),
    /^\/a\.pem, block 1 \(line 1\), is encrypted$/,
  ],
  ['only other blocks', block('X509 CRL'), /^\/a\.pem holds no certificate$/],
  ['a private key', first + block('PRIVATE KEY'), /^\/a\.pem, line \d+, holds a private key$/],
  [
    'a private key of another kind',
    block('OPENSSH PRIVATE KEY') + first,
    /^\/a\.pem, line 1, holds a private key$/,
  ],
  [
    'a private key in UTF-16',
    utf16(first + block('EC PRIVATE KEY'), 'big'),
    /^\/a\.pem, line \d+, holds a private key$/,
  ],
  ['a boundary within a line', `x ${first}`, /^\/a\.pem, line 1, has a malformed PEM boundary$/],
  [
    'PKCS#7 of another type',
    encodePem(
      tlv(0x30, Buffer.concat([tlv(6, '*\x86H\x86\xf7\r\x01\x07\x03'), tlv(0xa0, tlv(0x30, ''))])),
      'PKCS7',
    ),
    /^\/a\.pem, block 1 \(line 1\), is not PKCS#7 signed data$/,
  ],
  ['PKCS#7 without certificates', encodePkcs7([]), /^\/a\.pem holds no certificates$/],
];

for (const [what, content, message] of failures) {
  test(`refuses ${what} and reports its place`, async () => {
    const failure = await Promise.resolve()
      .then(() => readCertificates(Buffer.from(content), '/a.pem'))
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    assert.match(describeError(failure), message);
    assert.is(await failureOf(() => Promise.reject(failure)), 'InvalidArgs');
  });
}

test('accepts only one certificate, without the trust settings of OpenSSL, under the plain label', async () => {
  const doubled = encodePem(Buffer.concat([one.der, two.der]), 'CERTIFICATE');
  assert.is(await failureOf(() => readCertificates(Buffer.from(doubled), 'it')), 'InvalidArgs');
  const wrong = trusted.replaceAll('TRUSTED ', '');
  assert.is(await failureOf(() => readCertificates(Buffer.from(wrong), 'it')), 'InvalidArgs');
});

test.run();
