import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { alignmentOf, parseSignature } from '../../../../src/dbus/wire/signature.ts';

const test = suite('dbus signature');

function refused(signature: string): boolean {
  try {
    parseSignature(signature);
    return false;
  } catch (error) {
    assert.instance(error, TypeError);
    return true;
  }
}

test('splits complete types', () => {
  assert.is(parseSignature('').length, 0);
  assert.equal(
    parseSignature('sayas(iv)a{sv}h').map(({ code }) => code),
    ['s', 'ay', 'a', '(', 'a{', 'h'],
  );
});

test('refuses invalid signatures', () => {
  const wrong = [
    'a',
    'aa',
    '(',
    ')',
    '()',
    'a()',
    '(s',
    's)',
    '{sv}',
    'a{}',
    'a{s}',
    'a{svs}',
    'a{vs}',
    'a{(s)s}',
    'a{ass}',
    'a{sv',
    'r',
    'e',
    'm',
    '*',
    '\0',
    'é',
    's s',
  ];
  for (const signature of wrong) assert.is(refused(signature), true, JSON.stringify(signature));
});

test('allows 32 arrays and 32 structures within one another, and no more', () => {
  assert.is(refused(`${'a'.repeat(32)}y`), false);
  assert.is(refused(`${'a'.repeat(33)}y`), true);
  assert.is(refused(`${'a'.repeat(33)}s`), true);
  assert.is(refused(`${'('.repeat(32)}s${')'.repeat(32)}`), false);
  assert.is(refused(`${'('.repeat(33)}s${')'.repeat(33)}`), true);
  assert.is(refused(`${'a('.repeat(32)}s${')'.repeat(32)}`), false);
});

test('counts the entry of a dictionary as a structure, with its contents within it', () => {
  const structs = (count: number, inner: string) =>
    `${'('.repeat(count)}${inner}${')'.repeat(count)}`;
  assert.is(refused(structs(31, 'a{sy}')), false);
  assert.is(refused(structs(32, 'a{sy}')), true);
  assert.is(refused(`a{s${structs(31, 'y')}}`), false);
  assert.is(refused(`a{s${structs(32, 'y')}}`), true);
  assert.is(refused(`a{s${'a'.repeat(31)}y}`), false);
  assert.is(refused(`a{s${'a'.repeat(32)}y}`), true);
  assert.is(refused(`a(${'a'.repeat(31)}y)`), false);
  assert.is(refused(`a(${'a'.repeat(32)}y)`), true);
});

test('refuses more than 255 characters', () => {
  assert.is(refused('y'.repeat(255)), false);
  assert.is(refused('y'.repeat(256)), true);
});

test('knows the alignment of every type', () => {
  const aligned = (signature: string): readonly number[] =>
    parseSignature(signature).map((type) => alignmentOf(type));
  assert.equal(aligned('ygv'), [1, 1, 1]);
  assert.equal(aligned('nq'), [2, 2]);
  assert.equal(aligned('biusohayasa{sv}'), [4, 4, 4, 4, 4, 4, 4, 4, 4]);
  assert.equal(aligned('xtd(y)'), [8, 8, 8, 8]);
});

test.run();
