import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { globMatches, idGlobMatches, unrotated } from '../../src/glob.ts';
import { holds } from '../support/property.ts';

const test = suite('globs');

test('matches globs: star any run, question mark one', () => {
  assert.is(globMatches('*', 'a/b'), true);
  assert.is(globMatches('a*c', 'abbc'), true);
  assert.is(globMatches('a?c', 'ac'), false);
  assert.is(globMatches('a*b*c', 'axxbyyc'), true);
  assert.is(globMatches('a*b', 'acd'), false);
  assert.is(globMatches('', ''), true);
});

test('does not match the ids of the services unless the glob begins with their prefix', () => {
  assert.is(idGlobMatches('*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('iot*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('?otedge/*', 'iotedge/module-identities'), false);
  assert.is(idGlobMatches('iotedge/*', 'iotedge/module-identities'), true);
  assert.is(idGlobMatches('*', 'IOTEDGE/module-identities'), true);
  assert.is(globMatches('*', 'iotedge/image'), true);
});

test('returns in linear time for a hostile glob', () => {
  assert.is(globMatches(`${'*a'.repeat(60)}b`, 'a'.repeat(4000)), false);
});

test('removes the rotation suffix from a key id', () => {
  assert.is(unrotated('device-id@12'), 'device-id');
  assert.is(unrotated('device@id'), 'device@id');
  assert.is(unrotated('a@1b'), 'a@1b');
  assert.is(unrotated('a@1@2'), 'a@1');
});

/** Short texts of characters that matter to ids and globs. */
function textOf(characters: string, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...Array.from(characters)), maxLength });
}

/** The definition of globs, implemented naively. */
function covers(glob: string, text: string): boolean {
  if (glob === '') return text === '';
  if (glob.startsWith('*')) {
    return covers(glob.slice(1), text) || (text !== '' && covers(glob, text.slice(1)));
  }
  const isSame = text !== '' && (glob.startsWith('?') || glob[0] === text[0]);
  return isSame && covers(glob.slice(1), text.slice(1));
}

test('matches every glob according to its definition', () => {
  const property = fc.property(textOf('ab/*?', 8), textOf('ab/*?', 8), (glob, text) => {
    assert.is(globMatches(glob, text), covers(glob, text), `${glob} on ${text}`);
  });
  holds(property, 3000);
});

test('matches a glob that was derived from a text by omitting parts of it', () => {
  const parts = fc.array(fc.tuple(textOf('abc', 4), fc.constantFrom('*', '?', '')), {
    maxLength: 6,
  });
  const property = fc.property(parts, textOf('abc', 1), (pieces, one) => {
    const glob = pieces.map(([text, wild]) => text + wild).join('');
    const fill = { '*': one, '?': 'x', '': '' };
    const text = pieces.map(([piece, wild]) => piece + fill[wild]).join('');
    assert.is(globMatches(glob, text), true, `${glob} on ${text}`);
  });
  holds(property, 500);
});

test.run();
