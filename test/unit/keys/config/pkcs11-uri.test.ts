import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatUri, parseUri } from '../../../../src/keys/config/pkcs11-uri.ts';

const test = suite('PKCS#11 URI');

function refused(text: string): string {
  try {
    parseUri(text);
  } catch (error) {
    assert.instance(error, TypeError);
    return error instanceof Error ? error.message : '';
  }
  throw new Error(`${text} was taken`);
}

test('parses every attribute that selects an object', () => {
  const path = 'token=The%20Token;manufacturer=m%c3%bc;model=x;serial=01;slot-id=7';
  const uri = parseUri(`pkcs11:${path};object=device%20id;id=%00%ff;type=private`);
  assert.equal(uri.tokenSelector, {
    token: 'The Token',
    manufacturer: 'mü',
    model: 'x',
    serial: '01',
    slotId: 7,
  });
  assert.equal(uri.objectSelector, {
    object: 'device id',
    id: Buffer.from([0, 255]),
    type: 'private',
  });
});

const good = [
  'pkcs11:token=Edge pairs;object=a b?pin-value=1 2',
  'pkcs11:',
  'pkcs11:slot-id=0?pin-value=1234',
  'pkcs11:slot-id=0;object=device%20id?pin-value=1234',
  'pkcs11:token=The%20Token;serial=1;manufacturer=m;model=x;id=%01%ff;type=private',
  'pkcs11:object=a?pin-source=file:/run/pin',
  'pkcs11:object=a?pin-source=file:///run/pin&module-path=/lib/x.so',
  'pkcs11:object=a?pin-source=/run/pin',
  'pkcs11:object=a?pin-value=',
  'pkcs11:object=a?pin-value=1=2',
  'pkcs11:object=a?pin-value=a?b',
  'pkcs11:id=x:slot-id=',
  'pkcs11:token=&pin-source=relative',
];
const bad = [
  'PKCS11:slot-id=0',
  'pkcs11:object=a;object=b',
  'pkcs11:slot-id=0;object=a;slot-id=0',
  'pkcs11:object=%zz',
  'pkcs11:object=%2',
  'pkcs11:object=a\tb',
  'pkcs11:object',
  'pkcs11:;object=a',
  'pkcs11:object=a;',
  'pkcs11:slot-id=0x1',
  'pkcs11:slot-id=',
  'pkcs11:slot-id=-1',
  'pkcs11:type=secret',
  'pkcs11:x-vendor=1',
  'pkcs11:library-version=3',
  'pkcs11:object=a?pin-value=1&pin-value=1',
  'pkcs11:object=a?pin-value=1&pin-source=/run/pin',
  'pkcs11:object=a?pin-source=/run/pin&pin-value=1',
  'pkcs11:object=a?pin-source=pin',
  'pkcs11:object=a?pin-source=|command',
  'pkcs11:object=a?module-path=x.so',
  'pkcs11:object=a?module-name=x',
  'pkcs11:object=a?x=y',
  'pkcs11:object=a?pin-value=1&',
  'pkcs11:object=a?pin-value=%1',
  'pkcs11:object=%FF',
  'pkcs11:token=%00',
  'pkcs11:object=a?pin-value=%FF',
];

test('accepts what RFC 7512 allows and refuses the rest', () => {
  for (const text of good) assert.not.throws(() => parseUri(text), undefined, text);
  for (const text of bad) refused(text);
});

test('parses the location of the PIN, in every form of a file', () => {
  const pin = (query: string) => parseUri(`pkcs11:?${query}`).pin;
  assert.equal(pin('pin-value=12%2634'), { kind: 'value', value: '12&34' });
  for (const form of ['/run/pin', 'file:/run/pin', 'file:///run/pin', 'file://localhost/run/pin']) {
    assert.equal(pin(`pin-source=${form}`), { kind: 'file', path: '/run/pin' });
  }
  assert.is(parseUri('pkcs11:').pin, undefined);
});

test('never quotes what may be a PIN', () => {
  for (const text of [
    'pkcs11:?pin-value=secret%zz',
    'pkcs11:?pin-value=secret&pin-source=/secret',
    'pkcs11:?pin-source=secret',
    'pkcs11:?pin-value=secret&pin-value=secret',
    'pkcs11:?pin-value=secret\t',
    'pkcs11:?module-path=secret',
    'pkcs11:?pin-value=a&secret=b',
    'pkcs11:slot-id=0;pin-value=a;secret=b',
    'pkcs11:type=private&pin-value=secret',
    'pkcs11:slot-id=0&pin-value=secret',
  ]) {
    assert.not.match(refused(text), 'secret');
  }
});

test('formats a URI that selects the same and has no query', () => {
  const text = 'pkcs11:slot-id=0;token=a%20b;object=%C3%BC;id=%01%FE;type=private?pin-value=1234';
  const { tokenSelector, objectSelector } = parseUri(text);
  const written = formatUri(tokenSelector, objectSelector);
  assert.not.match(written, '1234');
  const again = parseUri(written);
  assert.equal([again.tokenSelector, again.objectSelector], [tokenSelector, objectSelector]);
});

test.run();
