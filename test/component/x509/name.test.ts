import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode } from '../../../src/x509/der/asn1.ts';
import {
  commonNameOf,
  decodeName,
  encodeName,
  formatName,
  parseName,
} from '../../../src/x509/name.ts';
import { parsePem } from '../../../src/x509/pem.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../support/failure.ts';

const test = suite('names and PEM');

test('parses a name, encodes it in DER and returns the same text', () => {
  for (const text of [
    'CN=edge,O=Contoso',
    'CN=a\\,b\\+c,OU=\\#1 \\"x\\",C=DE',
    'serialNumber=42+CN=Gerät 7,DC=example,DC=com',
    'CN=\\ padded\\ ',
    '',
  ]) {
    const der = encodeName(parseName(text));
    assert.is(formatName(decodeName(decode(der, 'name'))), text);
  }
});

test('accepts lower-case types, spaces around parts and hexadecimal escapes', () => {
  assert.is(formatName(parseName('cn=edge, o=Con\\74oso\\C3\\A4')), 'CN=edge,O=Contosoä');
  assert.is(commonNameOf(parseName('CN=edge,O=Contoso')), 'edge');
});

test('refuses unknown types, values that are too long and invalid characters in a country', async () => {
  const tooLong = `CN=${'x'.repeat(65)}`;
  for (const text of [
    'edge',
    'X=1',
    '=1',
    'CN=',
    tooLong,
    'C=DEU',
    'C=Dä',
    'CN=a\\',
    'CN=\\q',
    'CN=a,',
  ]) {
    assert.is(await failureOf(() => parseName(text)), 'InvalidArgs', text);
  }
});

test('normalizes the spelling of alternative names', () => {
  assert.is(parseAlternativeName('dns', 'EDGE.Local').value, 'edge.local');
  assert.is(parseAlternativeName('dns', '*.local').value, '*.local');
  assert.is(parseAlternativeName('ip', '2001:DB8:0:0::1').value, '2001:db8::1');
  assert.is(parseAlternativeName('ip', '::ffff:10.0.0.1').value, '::ffff:a00:1');
  assert.is(parseAlternativeName('ip', '::').value, '::');
});

test('normalizes a host name with a trailing dot', () => {
  assert.is(parseAlternativeName('dns', 'Edge.Local.').value, 'edge.local');
  assert.is(parseAlternativeName('dns', 'xn--gert-moa.example').value, 'xn--gert-moa.example');
  assert.is(parseAlternativeName('dns', `${'a.'.repeat(126)}a.`).value.length, 253);
});

test('reports how a name in other scripts must be written', () => {
  assert.throws(
    () => parseAlternativeName('dns', 'gerät.example'),
    /write it as "xn--gert-noa.example"/,
  );
});

test('refuses an invalid name of a kind', async () => {
  const wrong = [
    ['dns', 'a b'],
    ['dns', '-a.local'],
    ['dns', 'a..b'],
    ['dns', '.'],
    ['dns', 'a..'],
    ['dns', '*'],
    ['dns', '*.'],
    ['ip', '[::1]'],
    ['ip', '10.0.0.1:443'],
    ['dns', 'a.*.b'],
    ['dns', `${'a'.repeat(64)}.b`],
    ['dns', 'a\0.b'],
    ['ip', '10.0.0.256'],
    ['ip', 'fe80::1%eth0'],
    ['uri', 'no scheme'],
    ['uri', 'http://a\n'],
    ['email', 'nobody'],
  ] as const;
  for (const [kind, text] of wrong) {
    assert.is(await failureOf(() => parseAlternativeName(kind, text)), 'InvalidArgs', text);
  }
});

test('reads PEM with text around the blocks and refuses incomplete blocks', async () => {
  const block = '-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n';
  assert.is(
    parsePem(Buffer.from(`subject=x\n${block}issuer=y\n${block}`), ['CERTIFICATE'], 'file').length,
    2,
  );
  for (const text of [
    '-----BEGIN CERTIFICATE-----\nAAAA\n',
    '-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n',
    '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n',
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CRL-----\n',
    '-----BEGIN A-----\n-----BEGIN B-----\nAAAA\n-----END B-----\n',
    '-----END CERTIFICATE-----\n',
    'x -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    '-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END X-----\n',
    '-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n',
    '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n',
  ]) {
    assert.is(
      await failureOf(() => parsePem(Buffer.from(text), ['CERTIFICATE', 'X'], 'file')),
      'InvalidArgs',
      text,
    );
  }
});

test.run();
