/** The limits of DER: sizes, depths and forms, each at its limit and beyond it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bitString,
  booleanTrue,
  decode,
  type Element,
  encode,
  integer,
  maxInputBytes,
  nullValue,
  octetString,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../../../../src/x509/der/asn1.ts';
import {
  bitsOf,
  bytesOf,
  childrenOf,
  contentOf,
  isContext,
  isUniversal,
  membersOf,
  oidOf,
  smallIntegerOf,
  wholeBytesOf,
} from '../../../../src/x509/der/read.ts';
import {
  elementsIn,
  firstElement,
  isPadding,
  spanAt,
  spansIn,
} from '../../../../src/x509/der/tlv.ts';
import { failureOf } from '../../../support/failure.ts';
import { tlv } from '../../../support/x509/odd-certificate.ts';

const test = suite('DER');

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');
const read = (digits: string): Element => decode(hex(digits), 'it', { ber: true });
const isRefused = async (action: () => unknown): Promise<boolean> =>
  (await failureOf(action)) === 'InvalidArgs';

test('is encoded according to X.690', () => {
  for (const [element, digits] of [
    [integer(0), '020100'],
    [integer(127), '02017f'],
    [integer(128), '02020080'],
    [integer(hex('0000')), '020100'],
    [integer(hex('00ff')), '020200ff'],
    [integer(hex('007f')), '02017f'],
    [booleanTrue(), '0101ff'],
    [nullValue(), '0500'],
    [octetString(hex('00')), '040100'],
    [bitString(hex('80')), '03020080'],
    [bitString([]), '030100'],
    [bitString([0]), '03020780'],
    [bitString([5, 6]), '03020106'],
    [bitString([8]), '0303070080'],
    [oid('2.5.4.3'), '0603550403'],
    [sequence(), '3000'],
    [set(integer(2), integer(1)), '3106020101020102'],
    [text(universal.utf8String, 'é'), '0c02c3a9'],
    [text(universal.teletexString, 'é'), '1401e9'],
  ] as const) {
    assert.is(encode(element).toString('hex'), digits);
  }
});

test('is read up to 256 KiB', async () => {
  const header = 4;
  const largest = octetString(Buffer.alloc(maxInputBytes - header - 1));
  assert.is(maxInputBytes, 262_144);
  const whole = encode(largest);
  assert.is(whole.length, maxInputBytes);
  assert.is(contentOf(decode(whole, 'it'), 'it').length, maxInputBytes - header - 1);
  const larger = encode(octetString(Buffer.alloc(maxInputBytes - header)));
  assert.ok(await isRefused(() => decode(larger, 'it')));
});

test('is read 32 levels deep', async () => {
  const nested = (depth: number): Buffer => {
    let inner = hex('3000');
    for (let level = 1; level < depth; level++) inner = encode(sequence(decode(inner, 'it')));
    return inner;
  };
  const deepest = nested(32);
  assert.equal(encode(decode(deepest, 'it')), deepest);
  const deeper = Buffer.concat([Buffer.from([0x30, deepest.length]), deepest]);
  for (const ber of [true, false]) {
    assert.ok(await isRefused(() => decode(deeper, 'it', { ber })));
  }
});

test('has one form, and BER has others', async () => {
  for (const [what, digits, der] of [
    ['a length in more octets than it needs', '30810302 0101', '3003020101'],
    ['an indefinite length', '30800201010000', '3003020101'],
    ['a number with a zero before it', '020200 01', '020101'],
  ] as const) {
    assert.ok(await isRefused(() => decode(hex(digits), 'it')), what);
    assert.is(encode(read(digits)).toString('hex'), der, what);
  }
  for (const digits of ['', '30', '3001', '300302', '3003020101 00', '3005020101', '0203']) {
    for (const ber of [true, false]) {
      assert.ok(await isRefused(() => decode(hex(digits), 'it', { ber })), digits);
    }
  }
});

test('leaves the bits of a BIT STRING unparsed, whatever they look like', () => {
  const looksNested = encode(bitString(hex('30030201 01')));
  assert.equal(wholeBytesOf(decode(looksNested, 'it'), 'it'), hex('3003020101'));
});

test('has tags of a class and a number', () => {
  const [universal2, context2] = [read('020101'), read('820101')];
  assert.ok(isUniversal(universal2, 2) && !isUniversal(context2, 2));
  assert.ok(isContext(context2, 2) && !isContext(universal2, 2));
  assert.not.ok(isUniversal(universal2, 3) || isContext(context2, 3));
  assert.not.ok(isUniversal(undefined, 2) || isContext(undefined, 2));
});

test('has members in constructed elements and content in primitive ones', async () => {
  const [whole, part] = [read('3003020101'), read('020101')];
  assert.is(childrenOf(whole, 'it').length, 1);
  assert.is(membersOf(whole, 'sequence', 'it').length, 1);
  assert.equal(bytesOf(part, 'integer', 'it'), hex('01'));
  const wrong: readonly (() => unknown)[] = [
    () => childrenOf(part, 'it'),
    () => childrenOf(undefined, 'it'),
    () => membersOf(part, 'sequence', 'it'),
    () => membersOf(whole, 'set', 'it'),
    () => contentOf(whole, 'it'),
    () => contentOf(undefined, 'it'),
    () => bytesOf(part, 'octetString', 'it'),
    // a context tag of the same number
    () => bytesOf(read('820101'), 'integer', 'it'),
    () => membersOf(read('b003020101'), 'sequence', 'it'),
  ];
  for (const action of wrong) assert.ok(await isRefused(action), String(action));
});

test('has object identifiers of 1 to 64 octets', async () => {
  const longest = `1.2${'.3'.repeat(63)}`;
  assert.is(oidOf(decode(encode(oid(longest)), 'it'), 'it'), longest);
  assert.ok(await isRefused(() => oidOf(oid(`${longest}.3`), 'it')));
  assert.ok(await isRefused(() => oidOf(read('0600'), 'it')));
});

test('has small numbers of 1 to 4 octets that are not negative', async () => {
  for (const [digits, number] of [
    ['020100', 0],
    ['02020100', 256],
    ['02047fffffff', 0x7fff_ffff],
  ] as const) {
    assert.is(smallIntegerOf(read(digits), 'it'), number);
  }
  for (const digits of ['0200', '0201ff', '020180', '02050100000000', '0204ffffffff']) {
    assert.ok(await isRefused(() => smallIntegerOf(read(digits), 'it')), digits);
  }
});

test('has bit strings of whole octets, and named bits of 4 octets at most', async () => {
  assert.equal(wholeBytesOf(read('030200ff'), 'it'), hex('ff'));
  for (const digits of ['0300', '030201fe', '03020780']) {
    assert.ok(await isRefused(() => wholeBytesOf(read(digits), 'it')), digits);
  }
  assert.equal(bitsOf(read('030500 80000001'), 'it'), [0, 31]);
  assert.equal(bitsOf(read('03020780'), 'it'), [0]);
  assert.equal(bitsOf(read('030100'), 'it'), []);
  for (const digits of ['0300', '03020880', '030600 8000000100']) {
    assert.ok(await isRefused(() => bitsOf(read(digits), 'it')), digits);
  }
});

test('is split into its elements with lengths of up to 4 octets', () => {
  const content = Buffer.alloc(300, 1);
  for (const length of ['82012c', '8300012c', '840000012c']) {
    const whole = Buffer.concat([hex(`04${length}`), content]);
    assert.equal(firstElement(Buffer.concat([whole, hex('0500')])), {
      tag: 4,
      bytes: whole,
      content,
    });
    assert.is(firstElement(whole.subarray(0, -1)), undefined);
  }
  for (const digits of [
    '',
    '04',
    '0481',
    '048201',
    '04850000000001 01',
    '04ff',
    '0480',
    '04800000',
    '0401',
  ]) {
    assert.is(firstElement(hex(digits)), undefined, digits);
  }
});

test('is split where a tag has several octets', () => {
  assert.equal(firstElement(hex('9f1f0141')), {
    tag: 0x9f,
    bytes: hex('9f1f0141'),
    content: hex('41'),
  });
  assert.equal(firstElement(hex('9f82010141 00'))?.content, hex('41'));
  for (const digits of ['9f', '9f81', '9f8181', '9f1f']) {
    assert.is(firstElement(hex(digits)), undefined, digits);
  }
});

test('is split where constructed elements have indefinite lengths, 32 deep', () => {
  const endless = (depth: number): Buffer => hex('3080'.repeat(depth) + '0000'.repeat(depth));
  assert.equal(firstElement(endless(32))?.bytes, endless(32));
  assert.is(firstElement(endless(33)), undefined);
  assert.is(firstElement(hex('3080020101')), undefined);
  assert.is(firstElement(hex('308002010100')), undefined);
  assert.equal(firstElement(hex('3080020101000005'))?.content, hex('020101'));
});

test('has the elements of another only when they are all of it', () => {
  const spansOf = (content: Buffer, more = '') => {
    const der = Buffer.concat([tlv(0x30, content), hex(more)]);
    const whole = spanAt(der, 0);
    return whole && spansIn(der, whole)?.map(({ from, to }) => der.toString('latin1', from, to));
  };
  const two = Buffer.concat([tlv(2, 'a'), tlv(4, 'bc')]);
  assert.equal(spansOf(two), ['a', 'bc']);
  assert.equal(spansOf(two, '0500'), ['a', 'bc']);
  assert.equal(spansOf(Buffer.alloc(0)), []);
  // the last one would end behind the whole
  for (const end of ['04', '0403', '0401', '0480']) {
    assert.is(spansOf(Buffer.concat([two, hex(end)]), '0000000000'), undefined, end);
  }
});

test('is split up to the first incomplete element', () => {
  const split = [...elementsIn(Buffer.concat([tlv(2, 'a'), tlv(4, 'bc'), hex('0405')]))];
  assert.equal(
    split.map(({ tag, content }) => [tag, content.toString()]),
    [
      [2, 'a'],
      [4, 'bc'],
    ],
  );
});

test('may be followed by zeros, ones and line ends, and nothing else', () => {
  const padding = Array.from({ length: 256 }, (_, byte) => byte).filter(isPadding);
  assert.equal(padding, [0, 0x0a, 0x0d, 0xff]);
});

test.run();
