/** Encoded extensions according to RFC 5280, and the parsing of extensions of other origin. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../src/x509/der/asn1.ts';
import {
  authorityKeyId,
  basicConstraints,
  decodeExtensions,
  type Extension,
  encodeExtensions,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  listAlternativeNames,
  readAlternativeNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyId,
  subjectAlternativeName,
  subjectKeyId,
} from '../../../src/x509/extensions.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../support/failure.ts';

const test = suite('extensions');

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');
const withValue = (digits: string): Extension => ({
  oid: '1.2',
  critical: false,
  value: hex(digits),
});
const isRefused = async (action: () => unknown): Promise<boolean> =>
  (await failureOf(action)) === 'InvalidArgs';
const dns = parseAlternativeName('dns', 'x');

const forms: readonly (readonly [string, Extension, string, boolean])[] = [
  ['no CA', basicConstraints({ ca: false }), '3000', true],
  ['no CA, whatever its length', basicConstraints({ ca: false, pathLength: 1 }), '3000', true],
  ['a CA', basicConstraints({ ca: true }), '30030101ff', true],
  ['a CA of leaves', basicConstraints({ ca: true, pathLength: 0 }), '30060101ff020100', true],
  ['one usage', keyUsage(['digitalSignature']), '03020780', true],
  ['the usages of a CA', keyUsage(['cRLSign', 'keyCertSign']), '03020106', true],
  ['the last usage', keyUsage(['decipherOnly']), '0303070080', true],
  ['purposes', extendedKeyUsage(['serverAuth']), '300a06082b06010505070301', false],
  ['another purpose', extendedKeyUsage(['clientAuth']), '300a06082b06010505070302', false],
  ['a purpose without a name', extendedKeyUsage(['1.2.3']), '300406022a03', false],
  ['names', subjectAlternativeName([dns]), '3003820178', false],
  ['critical names', subjectAlternativeName([dns], { critical: true }), '3003820178', true],
  ['a key', subjectKeyId(hex('0102')), '04020102', false],
  ['the key of the issuer', authorityKeyId(hex('0102')), '300480020102', false],
];

for (const [what, { critical, value }, digits, isCritical] of forms) {
  test(`encode ${what} as ${digits}`, () => {
    assert.is(value.toString('hex'), digits);
    assert.is(critical, isCritical);
  });
}

test('have names with the tags of their kinds', () => {
  const written = (kind: SubjectAlternativeName['kind'], text: string): string =>
    subjectAlternativeName([parseAlternativeName(kind, text)])
      .value.subarray(2)
      .toString('hex');
  assert.is(written('email', 'a@b'), '8103614062');
  assert.is(written('dns', 'x'), '820178');
  assert.is(written('uri', 'a:b'), '8603613a62');
  assert.is(written('ip', '10.0.0.1'), '87040a000001');
  assert.is(written('ip', '::1'), `8710${'00'.repeat(15)}01`);
});

test('use the SHA-1 of the key bits as key identifier', () => {
  const bits = hex('aabbcc');
  const spki = hex('300d 300506032b6570 030400aabbcc');
  assert.equal(keyIdentifier(spki), createHash('sha1').update(bits).digest());
  assert.equal(readSubjectKeyId(subjectKeyId(bits)), bits);
});

test('are read with their critical flag, and each once', async () => {
  const [one, other] = [
    { oid: '1.2.3', critical: true, value: hex('0500') },
    { oid: '1.2.4', critical: false, value: hex('') },
  ];
  const element = encodeExtensions([one, other]);
  assert.is(encode(element).toString('hex'), '3015300b06022a030101ff04020500300606022a040400');
  assert.equal(decodeExtensions(element), [one, other]);
  const twice = encodeExtensions([one, { ...other, oid: one.oid }]);
  assert.ok(await isRefused(() => decodeExtensions(twice)));
  const read = (digits: string) => decodeExtensions(decode(hex(digits), 'it', { ber: true }));
  // encoded although it is the default
  assert.equal(
    read('300b 3009 06022a03 010100 0400').map(({ critical }) => critical),
    [false],
  );
  for (const digits of [
    '3006 3004 06022a03',
    '3007 3005 0101ff 0400',
    '300a 3008 06022a03 0c020500',
    '300b 3009 06022a03 0400 040105',
    '300d 300b 06022a03 0101ff 0400 0500',
    '0500',
  ]) {
    assert.ok(await isRefused(() => read(digits)), digits);
  }
});

test('are read with explicitly encoded defaults', () => {
  for (const [digits, constraints] of [
    ['3000', { ca: false, pathLength: undefined }],
    ['3003010100', { ca: false, pathLength: undefined }],
    ['3003020102', { ca: false, pathLength: 2 }],
    ['3006010101020103', { ca: true, pathLength: 3 }],
    ['30030101ff', { ca: true, pathLength: undefined }],
  ] as const) {
    assert.equal(readBasicConstraints(withValue(digits)), constraints, digits);
  }
});

test('name every usage and purpose', () => {
  assert.equal(readKeyUsage(withValue('030307ff80')), [
    'digitalSignature',
    'nonRepudiation',
    'keyEncipherment',
    'dataEncipherment',
    'keyAgreement',
    'keyCertSign',
    'cRLSign',
    'encipherOnly',
    'decipherOnly',
  ]);
  assert.equal(readKeyUsage(withValue('0303040010')), []);
  const purposes = '3018 06082b06010505070302 06082b06010505070301 06022a03';
  assert.equal(readExtendedKeyUsage(withValue(purposes)), ['clientAuth', 'serverAuth', '1.2.3']);
});

test('that are malformed are refused in a request, and return no names in a certificate', async () => {
  for (const [read, digits] of [
    [readBasicConstraints, '0500'],
    [readBasicConstraints, '30040c020500'],
    [readKeyUsage, '0500'],
    [readExtendedKeyUsage, '30020500'],
    [readSubjectKeyId, '0500'],
    [readAlternativeNames, '0500'],
    [readAlternativeNames, '3103820178'],
    [readAlternativeNames, '300382017800'],
    [readAlternativeNames, '3003820278'],
  ] as const) {
    assert.ok(await isRefused(() => read(withValue(digits))), digits);
  }
  assert.equal(listAlternativeNames(withValue('3103820178')), []);
  assert.equal(listAlternativeNames(withValue('3006820178880101')), ['dns:x']);
});

test.run();
