/** RFC 7512 as properties of every URI, and of every invalid text. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  formatUri,
  type ObjectSelector,
  parseUri,
  type TokenSelector,
} from '../../../../src/keys/config/pkcs11-uri.ts';
import { holds } from '../../../support/property.ts';

const test = suite('properties of PKCS#11 URIs');

/** A text that a token can have as its label: any Unicode but NUL. */
const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((one) => !one.includes('\0'));
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** The defined properties of an object. */
function defined<T extends object>(value: T): T {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as T; // of what is optional
}

const tokens: fc.Arbitrary<TokenSelector> = fc
  .record({
    token: maybe(text),
    manufacturer: maybe(text),
    model: maybe(text),
    serial: maybe(text),
    slotId: maybe(fc.maxSafeNat().map((id) => id % 1e15)),
  })
  .map((selector) => defined(selector) as TokenSelector);
const objects: fc.Arbitrary<ObjectSelector> = fc
  .record({
    object: maybe(text),
    id: maybe(bytes),
    type: maybe(fc.constantFrom('private', 'public', 'secret-key', 'cert', 'data')),
  })
  .map((selector) => defined(selector) as ObjectSelector);

/** Every byte of a text or of an id escaped, in digits of either case. */
function escaped(value: string | Buffer, isUpper: boolean): string {
  const digits = Buffer.from(value as string)
    .toString('hex')
    .replace(/../g, '%$&');
  return isUpper ? digits.toUpperCase() : digits;
}

function parsed(uri: string): ReturnType<typeof parseUri> | undefined {
  try {
    return parseUri(uri);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return undefined;
  }
}

test('is parsed to what it was formatted from', () => {
  const property = fc.property(tokens, objects, (token, object) => {
    const uri = formatUri(token, object);
    assert.match(uri, /^pkcs11:[\x21-\x7e]*$/);
    const found = parseUri(uri);
    assert.equal(found.tokenSelector, token);
    assert.equal(found.objectSelector, object);
    assert.equal([found.pin, found.modulePath], [undefined, undefined]);
    assert.is(formatUri(found.tokenSelector, found.objectSelector), uri);
  });
  holds(property, 1000);
});

test('is the same with every byte escaped, and in any order', () => {
  const property = fc.property(
    tokens,
    objects,
    text,
    fc.boolean(),
    (token, object, pin, isUpper) => {
      const path = Object.entries({ ...token, ...object })
        .map(([name, value]) => {
          const attribute = name === 'slotId' ? 'slot-id' : name;
          return `${attribute}=${escaped(Buffer.isBuffer(value) ? value : String(value), isUpper)}`;
        })
        .reverse();
      const query = `pin-value=${escaped(pin, isUpper)}&module-path=%2flib%2fx.so`;
      const found = parseUri(`pkcs11:${path.join(';')}?${query}`);
      assert.equal(found.tokenSelector, token);
      assert.equal(found.objectSelector, object);
      assert.equal(found.pin, { kind: 'value', value: pin });
      assert.is(found.modulePath, '/lib/x.so');
    },
  );
  holds(property, 500);
});

test('has one kind of failure when invalid, which does not quote it', () => {
  const characters = fc.constantFrom(
    '%',
    '%4',
    '%zz',
    '%00',
    '%ff',
    ';',
    '&',
    '?',
    '=',
    '#',
    ' ',
    '\t',
    'é',
    'SECRET',
    'token=',
    'id=',
    'type=',
    'slot-id=',
    'pin-value=',
    'pin-source=',
    'file:',
    '/a',
    '0',
    'x-',
  );
  const property = fc.property(
    fc.array(characters, { maxLength: 10 }),
    fc.string(),
    (parts, tail) => {
      const uri = `pkcs11:${parts.join('')}${tail}`;
      try {
        parseUri(uri);
      } catch (error) {
        assert.instance(error, TypeError);
        assert.not.match(String(error), 'SECRET');
      }
      parsed(tail);
    },
  );
  holds(property, 3000);
});

test('is refused with a duplicate or unknown attribute, a bad escape or a reserved character', () => {
  const names = ['token', 'manufacturer', 'model', 'serial', 'object', 'id'];
  const property = fc.property(
    fc.constantFrom(...names),
    text,
    fc.constantFrom('#', '"', '<', '\\', '^', '`', '{', '\t', 'é', '%', '%a', '%g0', '?x', ';x'),
    (name, value, wrong) => {
      const attribute = `${name}=${escaped(value, false)}`;
      assert.ok(parsed(`pkcs11:${attribute}`));
      assert.is(parsed(`pkcs11:${attribute};${attribute}`), undefined);
      assert.is(parsed(`pkcs11:${attribute};x-${attribute}`), undefined);
      assert.is(parsed(`pkcs11:${attribute};library-${attribute}`), undefined);
      assert.is(parsed(`pkcs11:${attribute}${wrong}`), undefined, wrong);
      assert.is(parsed(`pkcs11:${attribute}?pin-value=1&pin-value=1`), undefined);
      assert.is(parsed(`pkcs11:${attribute}?pin-value=1&pin-source=/run/pin`), undefined);
    },
  );
  holds(property, 300);
});

test('accepts a slot of up to 15 digits, which a number represents exactly', () => {
  assert.is(parseUri('pkcs11:slot-id=999999999999999').tokenSelector.slotId, 999_999_999_999_999);
  for (const slot of ['1000000000000000', '9007199254740993', '', '0x0', '-1', '1.0', '1e3', '٣']) {
    assert.is(parsed(`pkcs11:slot-id=${encodeURIComponent(slot)}`), undefined, slot);
  }
});

test('selects by every attribute that it has', () => {
  const whole: TokenSelector = {
    token: 't',
    manufacturer: 'm',
    model: 'o',
    serial: 's',
    slotId: 7,
  };
  const uris = Object.keys(whole).map((name) => {
    const rest = Object.entries(whole).filter(([other]) => other !== name);
    return formatUri(Object.fromEntries(rest));
  });
  assert.is(new Set([formatUri(whole), ...uris]).size, 6);
});

test.run();
