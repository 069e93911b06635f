/** Alternative names, at the limits of what they may be. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeAlternativeName,
  formatAlternativeName,
  parseAlternativeName,
  showAlternativeName,
} from '../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../support/failure.ts';

const test = suite('alternative names');

type Kind = Parameters<typeof parseAlternativeName>[0];

const label63 = 'a'.repeat(63);
const host253 = `${label63}.${label63}.${label63}.${'a'.repeat(61)}`;

const bounds: readonly (readonly [Kind, good: string, bad: string])[] = [
  ['dns', label63, `${label63}a`],
  ['dns', host253, `${host253}a`],
  ['dns', `${host253}.`, `${host253}a.`],
  ['dns', 'a-b', 'a-'],
  ['dns', 'a_b', 'a b'],
  ['dns', '_a', '-a'],
  ['dns', '*.a', '*.*.a'],
  ['dns', '*.a', '*a'],
  ['dns', 'a', ''],
  ['dns', 'a.', 'a..'],
  ['dns', 'a', 'ä'],
  ['ip', '255.255.255.255', '255.255.255.256'],
  ['ip', '1.2.3.4', '1.2.3'],
  ['ip', 'fe80::1', 'fe80::1%1'],
  ['ip', '::ffff:1.2.3.4', '::g'],
  ['uri', `a:${'b'.repeat(2046)}`, `a:${'b'.repeat(2047)}`],
  ['uri', 'a+.-1:~!', '1a:b'],
  ['uri', 'a:b', 'a:'],
  ['uri', 'a:b', 'a:b c'],
  ['uri', 'a:b', 'a:ä'],
  ['email', `${'a'.repeat(252)}@b`, `${'a'.repeat(253)}@b`],
  ['email', 'a@b', 'a@'],
  ['email', 'a@b', '@b'],
  ['email', 'a@b', 'a@b@c'],
  ['email', 'a@b', 'a b@c'],
];

for (const [kind, good, bad] of bounds) {
  test(`of the kind ${kind} are ${good.slice(-20)} and not ${bad.slice(-20)}`, async () => {
    assert.is(parseAlternativeName(kind, good).kind, kind);
    assert.is(await failureOf(() => parseAlternativeName(kind, bad)), 'InvalidArgs');
  });
}

test('have one spelling', () => {
  for (const [kind, text, value] of [
    ['dns', 'A.B', 'dns:a.b'],
    ['dns', 'A.B.', 'dns:a.b'],
    ['uri', 'URN:Ab', 'uri:URN:Ab'],
    ['email', 'A@B', 'email:A@B'],
    ['ip', '2001:0DB8::0', 'ip:2001:db8::'],
    ['ip', '0:0:1:0:0:0:0:1', 'ip:0:0:1::1'],
    ['ip', '1:2:3:4:5:6:7:8', 'ip:1:2:3:4:5:6:7:8'],
  ] as const) {
    assert.is(formatAlternativeName(parseAlternativeName(kind, text)), value);
  }
});

/** A name as it is encoded in a certificate. */
function element(tag: number, content: string | readonly number[]) {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : Buffer.from(content);
  return { tag, content: bytes, bytes };
}

test('are accepted in a request only as they may be issued', async () => {
  assert.equal(decodeAlternativeName(element(0x82, 'A')), { kind: 'dns', value: 'a' });
  assert.equal(decodeAlternativeName(element(0x86, 'a:B')), { kind: 'uri', value: 'a:B' });
  assert.equal(decodeAlternativeName(element(0x81, 'a@b')), { kind: 'email', value: 'a@b' });
  assert.equal(decodeAlternativeName(element(0x87, [127, 0, 0, 1])).value, '127.0.0.1');
  const six = [...Array<number>(15).fill(0), 1];
  assert.equal(decodeAlternativeName(element(0x87, six)).value, '::1');
  for (const odd of [
    element(0x87, [1, 2, 3]),
    element(0x87, [1, 2, 3, 4, 5, 6, 7, 8]),
    element(0x87, [...six, 1]),
    element(0x82, 'a b'),
    element(0x02, 'a'),
    element(0xa2, 'a'),
  ]) {
    assert.is(await failureOf(() => decodeAlternativeName(odd)), 'InvalidArgs');
  }
});

test('of unsupported kinds are named in the refusal', () => {
  for (const [tag, kind] of [
    [0xa0, /otherName/],
    [0xa3, /x400Address/],
    [0xa4, /directoryName/],
    [0xa5, /ediPartyName/],
    [0x88, /registeredID/],
    [0x89, /\[9\]/],
  ] as const) {
    assert.throws(() => decodeAlternativeName(element(tag, '')), kind);
  }
});

test('are shown unchanged where possible', () => {
  const shown = [
    element(0x82, 'A*.b.'),
    element(0x81, 'A@B'),
    element(0x86, 'URN:x'),
    element(0x87, [1, 2, 3, 4]),
    element(0x87, [1, 2, 3]),
    element(0x87, Array<number>(17).fill(0)),
    element(0x82, 'a b'),
    element(0x82, 'a\x7f'),
    element(0x82, 'a\xe4'),
    element(0x82, ''),
    element(0xa0, 'x'),
  ].map(showAlternativeName);
  const none = Array<undefined>(7).fill(undefined);
  assert.equal(shown, ['dns:a*.b.', 'email:A@B', 'uri:URN:x', 'ip:1.2.3.4', ...none]);
});

test.run();
