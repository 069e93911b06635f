/** Each attribute of a name: its OID, its string type and its maximum length, according to RFC 5280 and RFC 4519. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, universal } from '../../../src/x509/der/asn1.ts';
import { contentOf, membersOf, oidOf } from '../../../src/x509/der/read.ts';
import {
  commonNameOf,
  decodeName,
  encodeName,
  formatName,
  isSameName,
  parseName,
} from '../../../src/x509/name.ts';
import { failureOf } from '../../support/failure.ts';
import { tlv } from '../../support/x509/odd-certificate.ts';

const test = suite('attributes of names');
const { ia5String, printableString, utf8String } = universal;

const attributes: readonly (readonly [string, string, number, number])[] = [
  ['CN', '2.5.4.3', utf8String, 64],
  ['SN', '2.5.4.4', utf8String, 40],
  ['serialNumber', '2.5.4.5', printableString, 64],
  ['C', '2.5.4.6', printableString, 2],
  ['L', '2.5.4.7', utf8String, 128],
  ['ST', '2.5.4.8', utf8String, 128],
  ['STREET', '2.5.4.9', utf8String, 128],
  ['O', '2.5.4.10', utf8String, 64],
  ['OU', '2.5.4.11', utf8String, 64],
  ['title', '2.5.4.12', utf8String, 64],
  ['businessCategory', '2.5.4.15', utf8String, 128],
  ['postalCode', '2.5.4.17', utf8String, 40],
  ['GN', '2.5.4.42', utf8String, 16],
  ['dnQualifier', '2.5.4.46', printableString, 64],
  ['organizationIdentifier', '2.5.4.97', utf8String, 256],
  ['UID', '0.9.2342.19200300.100.1.1', utf8String, 256],
  ['DC', '0.9.2342.19200300.100.1.25', ia5String, 255],
  ['emailAddress', '1.2.840.113549.1.9.1', ia5String, 255],
  ['unstructuredName', '1.2.840.113549.1.9.2', utf8String, 255],
];

for (const [type, id, string, longest] of attributes) {
  test(`${type} is ${id} with up to ${longest} characters`, async () => {
    const value = 'x'.repeat(longest);
    const name = decode(encodeName(parseName(`${type}=${value}`)), 'it');
    const [part] = membersOf(name, 'sequence', 'it');
    const [attribute] = membersOf(part, 'set', 'it');
    const [attributeType, attributeValue] = membersOf(attribute, 'sequence', 'it');
    assert.is(oidOf(attributeType, 'it'), id);
    assert.is(attributeValue?.type, string);
    assert.is(contentOf(attributeValue, 'it').toString(), value);
    assert.is(formatName(decodeName(name)), `${type}=${value}`);
    assert.is(formatName(parseName(`${type.toLowerCase()} = ${value}`)), `${type}=${value}`);
    for (const wrong of [`${type}=${value}x`, `${type}=`, `${type}=x\0`, `${type}=x\\00`]) {
      assert.is(await failureOf(() => parseName(wrong)), 'InvalidArgs');
    }
  });
}

test('count characters, whatever their length in UTF-8', async () => {
  const most = '𝔼'.repeat(64);
  assert.is(commonNameOf(parseName(`CN=${most}`)), most);
  assert.is(await failureOf(() => parseName(`CN=${most}𝔼`)), 'InvalidArgs');
});

test('contain only the characters of their string types', async () => {
  const ascii = Array.from({ length: 127 }, (_, code) => String.fromCodePoint(code)).slice(1);
  const takenBy = async (type: string): Promise<string> => {
    const taken = ascii.map(async (letter) => {
      const code = await failureOf(() => encodeName([[{ type, value: `x${letter}` }]]));
      return code === 'no failure' ? letter : '';
    });
    return (await Promise.all(taken)).join('');
  };
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const printable = ` '()+,-./0123456789:=?${letters}${letters.toLowerCase()}`;
  assert.is(await takenBy('serialNumber'), printable);
  assert.is(await takenBy('DC'), ascii.slice(31).join(''));
  assert.is(await takenBy('CN'), ascii.join(''));
  for (const type of ['serialNumber', 'DC', 'emailAddress']) {
    assert.is(await failureOf(() => parseName(`${type}=ä`)), 'InvalidArgs');
  }
});

test('are 32 parts at most', async () => {
  const most = Array.from({ length: 32 }, (_, at) => `OU=${at}`);
  assert.is(parseName(most.join(',')).length, 32);
  assert.is(await failureOf(() => parseName([...most, 'CN=x'].join(','))), 'InvalidArgs');
});

test('are escaped according to RFC 4514, and read with any of its escapes', async () => {
  const written = formatName([[{ type: 'CN', value: ' #"+,;<=>\\a\t ' }]]);
  assert.is(written, 'CN=\\ #\\"\\+\\,\\;\\<=\\>\\\\a\\09\\ ');
  for (const [text, value] of [
    ['CN=\\ \\#\\"\\+\\,\\;\\<\\=\\>\\\\', ' #"+,;<=>\\'],
    ['CN=\\20x\\20', ' x '],
    ['CN=\\C3\\A4\\c3\\a4', 'ää'],
    ['CN=  x  ', 'x'],
    ['CN=x\\\\ ', 'x\\'],
    ['CN=x\\\\\\ ', 'x\\ '],
    ['CN=\\  \\ ', '   '],
  ] as const) {
    assert.is(commonNameOf(parseName(text)), value, text);
  }
  for (const text of ['CN=\\x', 'CN=\\', 'CN=\\4', 'CN=\\\n']) {
    assert.is(await failureOf(() => parseName(text)), 'InvalidArgs', text);
  }
});

test('return the common name that is last in DER', () => {
  assert.is(commonNameOf(parseName('CN=first,O=x,CN=last')), 'first');
  assert.is(commonNameOf(parseName('O=x')), undefined);
});

test('are equal in another string type and order within a part, and different otherwise', () => {
  const name = parseName('CN=a+O=b,C=DE');
  const printable = tlv(0x30, Buffer.concat([tlv(6, '\x55\x04\x03'), tlv(printableString, 'a')]));
  const inPrintable = decodeName(decode(tlv(0x30, tlv(0x31, printable)), 'it'));
  assert.ok(isSameName(inPrintable, parseName('CN=a')));
  for (const other of ['CN=a+O=c,C=DE', 'CN=A+O=b,C=DE', 'C=DE,CN=a+O=b', 'CN=a+O=b']) {
    assert.not.ok(isSameName(name, parseName(other)), other);
  }
});

test('are formatted as their DER when they are not text', () => {
  const attribute = (value: Buffer): Buffer =>
    tlv(0x30, tlv(0x31, tlv(0x30, Buffer.concat([tlv(6, '\x55\x04\x03'), value]))));
  for (const [value, text] of [
    [tlv(0x82, 'a'), 'CN=#820161'],
    [tlv(0x8c, 'a'), 'CN=#8C0161'],
    [tlv(5, ''), 'CN=#0500'],
    [tlv(0x30, tlv(5, '')), 'CN=#30020500'],
    [tlv(0x1c, Buffer.from('0010ffff', 'hex')), 'CN=\u{10ffff}'],
    [tlv(0x1c, Buffer.from('00110000', 'hex')), 'CN=\uFFFD'],
    [tlv(0x0c, 'a'), 'CN=a'],
    [tlv(0x12, '1'), 'CN=1'],
    [tlv(0x14, 'a'), 'CN=a'],
  ] as const) {
    assert.is(formatName(decodeName(decode(attribute(value), 'it'))), text);
  }
});

test('are refused where they have no value', async () => {
  const empty = tlv(0x30, tlv(0x31, tlv(0x30, tlv(6, '\x55\x04\x03'))));
  assert.is(await failureOf(() => decodeName(decode(empty, 'it'))), 'InvalidArgs');
});

test.run();
