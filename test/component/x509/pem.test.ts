/** The limits of PEM and PKCS#7: sizes, counts and forms, each at its limit and beyond it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeError } from '../../../src/errors.ts';
import { parseCertificate, parsePkcs7 } from '../../../src/x509/certificate.ts';
import { encode, integer, oid, sequence } from '../../../src/x509/der/asn1.ts';
import { encodePem, looksLikePem, parseOnePem, parsePem } from '../../../src/x509/pem.ts';
import { certificatesInPkcs7, encodePkcs7, looksLikePkcs7 } from '../../../src/x509/pkcs7.ts';
import { failureOf } from '../../support/failure.ts';
import { nameOf, oddCertificate, tlv } from '../../support/x509/odd-certificate.ts';
import { makeKey } from '../../support/x509/openssl.ts';

const test = suite('PEM and PKCS#7 at their limits');

const block = encodePem(Buffer.from('abc'), 'X');
const read = (text: string | Buffer, labels: readonly string[] = ['X']) =>
  parsePem(Buffer.from(text), labels, 'it');
const isRefused = async (action: () => unknown): Promise<boolean> =>
  (await failureOf(action)) === 'InvalidArgs';

test('PEM has lines of 64 characters and ends in a line feed', () => {
  for (const [length, lines] of [
    [1, 3],
    [48, 3],
    [49, 4],
    [96, 4],
    [97, 5],
  ] as const) {
    const bytes = Buffer.alloc(length, 1);
    const pem = encodePem(bytes, 'X');
    const [first, ...rest] = pem.split('\n');
    assert.is(first, '-----BEGIN X-----');
    assert.equal(rest.slice(-2), ['-----END X-----', '']);
    assert.is(rest.length, lines);
    assert.is(rest.slice(0, -2).join(''), bytes.toString('base64'));
    assert.ok(rest.slice(0, -3).every((line) => line.length === 64));
  }
});

test('PEM is read up to 1 MiB and 512 blocks', async () => {
  const text = (length: number): string => `${'#'.repeat(length - block.length - 1)}\n${block}`;
  assert.is(read(text(1 << 20)).length, 1);
  assert.ok(await isRefused(() => read(text((1 << 20) + 1))));
  assert.is(read(block.repeat(512)).length, 512);
  assert.ok(await isRefused(() => read(block.repeat(513))));
  assert.ok(await isRefused(() => read(block.repeat(513), ['Y'])));
});

test('PEM errors name the file, the block and the line', () => {
  for (const [text, message] of [
    [`${block}\n-----BEGIN X-----\nAAA\n-----END X-----\n`, 'it, block 2 (line 5), is not base64'],
    [`${block}-----BEGIN X-----\n`, 'it, block 2 (line 4), does not end'],
    [`${block}-----END X-----\n`, 'it, line 4, ends a PEM block that does not begin'],
    [
      '-----BEGIN X-----\nAAAA\n-----END Y-----',
      'it, line 3, ends a PEM block that does not begin',
    ],
    [`${block} -----BEGIN X----\n`, 'it, line 4, has a malformed PEM boundary'],
    ['-----END X\n', 'it, line 1, has a malformed PEM boundary'],
    ['-----BEGIN RSA PRIVATE KEY-----\n', 'it, line 1, holds a private key'],
    ['-----BEGIN X-----\nA:b\n\n-----END X-----\n', 'it, block 1 (line 1), is not base64'],
    [
      '-----BEGIN X-----\nproc-type: 4,encrypted\n\nAAAA\n-----END X-----\n',
      'it, block 1 (line 1), is encrypted',
    ],
  ] as const) {
    let failure: unknown;
    try {
      read(text);
    } catch (error) {
      failure = error;
    }
    assert.is(describeError(failure), message);
  }
});

test('PEM of other labels is skipped, and one of several is selected by its label', async () => {
  const other = encodePem(Buffer.from('other'), 'Y');
  assert.equal(
    read(other + block + other, ['X', 'Z']).map(({ label, where }) => [label, where]),
    [['X', 'it, block 2 (line 4),']],
  );
  assert.equal(parseOnePem(Buffer.from(other + block), ['X'], 'it'), Buffer.from('abc'));
  for (const text of [other, block + block]) {
    assert.ok(await isRefused(() => parseOnePem(Buffer.from(text), ['X'], 'it')));
  }
});

test('PEM headers end at the first empty line', () => {
  const body = Buffer.from('abc').toString('base64');
  for (const headers of ['A: b\n', 'A: b\n\n', 'A: b\n c\n\n', 'A: b\nC: d\n\n', '']) {
    const [it] = read(`-----BEGIN X-----\n${headers}${body}\n-----END X-----\n`);
    assert.is(it?.der.toString(), 'abc', headers);
  }
});

test('DER that contains a PEM boundary is DER', async () => {
  const key = makeKey('ed25519');
  const der = await oddCertificate({ key, subject: nameOf('CN=-----BEGIN CERTIFICATE-----') });
  assert.not.ok(looksLikePem(der));
  assert.is(parseCertificate(der, 'it').subjectText, 'CN=-----BEGIN CERTIFICATE-----');
  assert.ok(looksLikePem(Buffer.from(`0\x7f${block}`)));
  assert.not.ok(looksLikePem(Buffer.concat([Buffer.from([0x30, 0x80]), Buffer.from(block)])));
});

const certificate = encode(sequence(integer(1)));
const many = (count: number): Buffer =>
  encodePkcs7(Array.from({ length: count }, () => ({ der: certificate })));

test('PKCS#7 is read up to 512 certificates', async () => {
  assert.is(certificatesInPkcs7(many(512), 'it').length, 512);
  assert.ok(await isRefused(() => certificatesInPkcs7(many(513), 'it')));
});

test('PKCS#7 is encoded according to RFC 5652', () => {
  const inner = '301b 020101 3100 300b 06092a864886f70d010701 a005 3003020101 3100';
  const expected = `302a 06092a864886f70d010702 a01d ${inner}`.replaceAll(' ', '');
  assert.is(encodePkcs7([{ der: certificate }]).toString('hex'), expected);
});

test('PKCS#7 errors name the unreadable part', () => {
  const bundle = encodePkcs7([{ der: certificate }]);
  assert.throws(() => parsePkcs7(bundle, 'it'), /certificate 1 in it is not a certificate/);
  const pem = Buffer.from(encodePem(certificate, 'X509 CRL'));
  assert.throws(() => parsePkcs7(pem, 'it'), /it holds no PEM block PKCS7/);
});

const [signed, netscape, data] = ['1.2.840.113549.1.7.2', '2.16.840.1.113730.2.5', '1.2.3'].map(
  (id) => encode(oid(id)),
);
const wrap = (tag: number, ...parts: readonly (Buffer | undefined)[]): Buffer =>
  tlv(tag, Buffer.concat(parts.map((part) => part ?? Buffer.alloc(0))));
const version = tlv(2, '\x01');
const empty = tlv(0x31, '');
const content = wrap(0x30, data);

test('PKCS#7 is read in every form that has certificates, and in no other', async () => {
  const fields = (...all: readonly Buffer[]): Buffer =>
    wrap(0x30, signed, wrap(0xa0, wrap(0x30, ...all)));
  const set = wrap(0xa0, certificate);
  for (const good of [
    fields(version, empty, content, set, empty),
    fields(version, empty, content, set),
    wrap(0x30, netscape, wrap(0xa0, wrap(0x30, certificate))),
    // attribute certificates are skipped
    fields(version, empty, content, wrap(0xa0, wrap(0xa1, data), certificate), empty),
  ]) {
    assert.ok(looksLikePkcs7(good));
    assert.equal(certificatesInPkcs7(good, 'it'), [certificate]);
  }
  for (const bad of [
    fields(version, empty, content, empty),
    fields(version, set),
    fields(version, empty, content, wrap(0xa0, wrap(0xa1, data))),
    wrap(0x30, data, wrap(0xa0, wrap(0x30, version, empty, content, set))),
    wrap(0x30, signed, wrap(0xa1, wrap(0x30, version, empty, content, set))),
    wrap(0x30, signed, wrap(0x30, wrap(0x30, version, empty, content, set))),
    wrap(0x30, signed),
    // a member that is incomplete
    fields(version, empty, content, wrap(0xa0, certificate, tlv(0x30, 'x', 9))),
    // a primitive element in place of the certificates
    fields(version, empty, content, wrap(0x80, certificate)),
    Buffer.concat([fields(version, empty, content, set), Buffer.from('x')]),
  ]) {
    assert.ok(await isRefused(() => certificatesInPkcs7(bad, 'it')), bad.toString('hex'));
  }
  assert.not.ok(looksLikePkcs7(certificate));
  assert.not.ok(looksLikePkcs7(tlv(0x31, signed ?? '')));
});

test.run();
