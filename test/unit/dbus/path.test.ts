import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { childPath, encodePathElement } from '../../../src/dbus/path.ts';
import { holds } from '../../support/property.ts';

const test = suite('dbus path');

test('escapes as sd_bus_path_encode does', () => {
  const known = [
    ['', '_'],
    ['device-id', 'device_2did'],
    ['$edgeAgent', '_24edgeAgent'],
    ['0abc9', '_30abc9'],
    ['a_b', 'a_5fb'],
    ['a/b@2', 'a_2fb_402'],
    ['ü', '_c3_bc'],
  ] as const;
  for (const [id, element] of known) assert.is(encodePathElement(id), element);
});

test('gives different ids different paths', () => {
  const ids = ['_', '', 'a_2d', 'a-', 'a_', 'A-', '_5f'];
  assert.is(new Set(ids.map((id) => childPath('/m', 'key', id))).size, ids.length);
});

/** The text that sd_bus_path_decode returns for an element. */
function decoded(element: string): string {
  if (element === '_') return '';
  const bytes = [...element.matchAll(/_([0-9a-f]{2})|./g)].map(([whole, digits]) =>
    digits === undefined ? whole.charCodeAt(0) : Number.parseInt(digits, 16),
  );
  return Buffer.from(bytes).toString();
}

test('encodes every text as a valid element, which can be decoded again', () => {
  const unit = fc.oneof(
    fc.constantFrom(...Array.from('aZ09_-.$/:@ ')),
    fc.constantFrom('é', '€', '😀', '\0'),
  );
  const texts = fc.oneof(fc.string({ unit }), fc.string(), fc.string({ unit: 'grapheme' }));
  const property = fc.property(texts, (text) => {
    const element = encodePathElement(text);
    assert.match(element, /^[A-Za-z_][A-Za-z0-9_]*$/);
    assert.is(decoded(element), text);
    assert.is(childPath('/org/example', 'key', text), `/org/example/key/${element}`);
  });
  holds(property, 500);
});

test.run();
