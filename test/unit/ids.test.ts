import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../src/errors.ts';
import {
  isId,
  isModuleName,
  moduleIdOf,
  moduleNameOf,
  nameParsers,
  parseKeyId,
  parseModuleId,
  parseModuleName,
  parseReference,
} from '../../src/ids.ts';
import { codeOf } from '../support/failure.ts';
import { holds } from '../support/property.ts';

const test = suite('ids');

test('accepts names, paths and rotated names', () => {
  for (const id of [
    'device-id',
    '$edgeAgent',
    'a/b/c',
    'device-id@2',
    'iotedge/workload-ca',
    'x'.repeat(128),
  ]) {
    assert.is(isId(id), true, id);
  }
});

test('refuses paths outside the directory and malformed names', () => {
  const bad = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '../a',
    'a/../b',
    'a/.',
    '.',
    'a b',
    'a\n',
    'ä',
    'x'.repeat(129),
  ];
  for (const id of bad) assert.is(isId(id), false, JSON.stringify(id));
});

test('throws InvalidArgs for an invalid name', () => {
  try {
    parseKeyId('no/../good');
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ServiceError);
    assert.is(error instanceof ServiceError && error.code, 'InvalidArgs');
  }
});

test('knows that module names have no slash and no at sign', () => {
  assert.is(isModuleName('edgeAgent'), true);
  assert.is(isModuleName('a/b'), false);
  assert.is(isModuleName('a@1'), false);
});

test('prefixes the two system modules with a dollar', () => {
  assert.is(moduleIdOf(parseModuleName('edgeAgent')), '$edgeAgent');
  assert.is(moduleIdOf(parseModuleName('mine')), 'mine');
  assert.is(moduleIdOf(parseModuleName('edgeHub')), '$edgeHub');
  assert.is(moduleIdOf(parseModuleName('edgeHub2')), 'edgeHub2');
  assert.is(moduleNameOf(parseModuleId('$edgeHub')), 'edgeHub');
  assert.is(moduleNameOf(parseModuleId('a$b')), 'a$b');
});

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Whether a text is an id according to the documentation, character by character. */
function isIdByTheBook(text: string, others: string): boolean {
  const characters = Array.from(text);
  if (characters.length === 0 || text.length > 128) return false;
  if (!`${letters}$`.includes(characters[0] ?? '')) return false;
  if (!characters.every((one) => `${letters}${others}`.includes(one))) return false;
  return !text.split('/').some((segment) => ['', '.', '..'].includes(segment));
}

test('accepts as ids exactly what the documentation allows', () => {
  const unit = fc.oneof(
    fc.constantFrom(...Array.from('aZ09._$/:@-')),
    fc.constantFrom(
      ...Array.from('/.'),
      '..',
      '/../',
      '//',
      '+',
      '=',
      ',',
      '~',
      '%',
      ' ',
      '\0',
      '\n',
      'ß',
      '😀',
    ),
    fc.constantFrom('a'.repeat(60), 'b/'.repeat(30)),
  );
  const texts = fc.oneof(fc.string({ unit, maxLength: 6 }), fc.string());
  const property = fc.property(texts, (text) => {
    assert.is(isId(text), isIdByTheBook(text, '._$/:@-'), JSON.stringify(text));
    assert.is(isModuleName(text), isIdByTheBook(text, '._$:-'), JSON.stringify(text));
  });
  holds(property, 2000);
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code);
    for (const text of [character, `a${character}a`, `a${character}`]) {
      assert.is(isId(text), isIdByTheBook(text, '._$/:@-'), JSON.stringify(text));
      assert.is(isModuleName(text), isIdByTheBook(text, '._$:-'), JSON.stringify(text));
    }
  }
  assert.is(isModuleName('x'.repeat(128)), true);
  assert.is(isModuleName('x'.repeat(129)), false);
});

test('parses valid names of each kind and refuses the rest', () => {
  for (const [kind, parse] of Object.entries(nameParsers)) {
    assert.is(parse('a:b'), 'a:b');
    const isModule = kind.startsWith('module');
    for (const text of ['', 'a b', 'a/../b', ...(isModule ? ['a/b', 'a@1'] : [])]) {
      assert.is(
        codeOf(() => parse(text)),
        'InvalidArgs',
        `${kind} ${text}`,
      );
    }
    if (!isModule) assert.is(parse('a/b@1'), 'a/b@1');
  }
});

test('reads references with and without their scheme', () => {
  assert.is(parseReference('key://device-id', 'key'), 'device-id');
  assert.is(parseReference('cert://a/b', 'cert'), 'a/b');
  assert.is(parseReference('device-id', 'key'), 'device-id');
  assert.is(parseReference('device-id', 'cert'), 'device-id');
});

test('refuses references that belong to another setting', () => {
  const wrong: readonly (readonly [string, 'key' | 'cert'])[] = [
    ['cert://a', 'key'],
    ['key://a', 'cert'],
    ['akey://b', 'key'],
    ['a key://', 'key'],
    ['key://', 'key'],
    ['key:///a', 'key'],
    ['key://key://a', 'key'],
    ['/etc/a.pem', 'key'],
    ['/etc/a.pem', 'cert'],
    ['file:///etc/a.key', 'key'],
    [' FILE:/etc/a.key', 'key'],
    ['file:a', 'key'],
    ['file:///etc/a.cer', 'cert'],
    ['pkcs11:object=a', 'key'],
    ['pkcs11:object=a', 'cert'],
    ['', 'key'],
  ];
  for (const [text, scheme] of wrong) {
    assert.is(
      codeOf(() => parseReference(text, scheme)),
      'InvalidArgs',
      `${scheme} ${text}`,
    );
  }
});

test('names the setting for a reference that is a file or a token', () => {
  const hintOf = (text: string, scheme: 'key' | 'cert'): string => {
    try {
      return `none, but ${parseReference(text, scheme)}`;
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  assert.match(
    hintOf('/etc/a.pem', 'key'),
    /only the Keys service reads private keys.* keys\.yaml/,
  );
  assert.match(
    hintOf('file:/etc/a', 'key'),
    /only the Keys service reads private keys.* keys\.yaml/,
  );
  assert.match(hintOf('/etc/a.pem', 'cert'), /names a file: preload it in certificates\.yaml/);
  assert.match(hintOf('pkcs11:object=a', 'key'), /preload it in keys\.yaml, write key:\/\/<id>/);
  assert.match(hintOf('pkcs11:object=a', 'cert'), /names no certificate.*write cert:\/\/<id>/);
  assert.match(hintOf('a b', 'key'), /"a b" is not a key id/);
  // a name that only begins like a file reference is an id
  assert.is(parseReference('file', 'key'), 'file');
  assert.is(parseReference('afile:b', 'key'), 'afile:b');
});

test.run();
