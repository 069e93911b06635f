import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { formatUri, parseUri } from '../../../../src/keys/pkcs11/uri.ts';

const test = suite('PKCS#11 URI');

function refused(text: string): string {
  try {
    parseUri(text);
  } catch (error) {
    assert.ok(isServiceError(error, 'InvalidArgs'));
    return error.message;
  }
  throw new Error(`${text} was taken`);
}

test('reads every attribute that selects something', () => {
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

test('reads where the PIN is, in every form of a file', () => {
  const pin = (query: string) => parseUri(`pkcs11:?${query}`).pin;
  assert.equal(pin('pin-value=12%2634'), { kind: 'value', value: '12&34' });
  for (const form of ['/run/pin', 'file:/run/pin', 'file:///run/pin', 'file://localhost/run/pin']) {
    assert.equal(pin(`pin-source=${form}`), { kind: 'file', path: '/run/pin' });
  }
  assert.is(parseUri('pkcs11:').pin, undefined);
});

test('never repeats a value of the query', () => {
  for (const text of [
    'pkcs11:?pin-value=secret%zz',
    'pkcs11:?pin-value=secret&pin-source=/secret',
    'pkcs11:?pin-source=secret',
    'pkcs11:?pin-value=secret&pin-value=secret',
    'pkcs11:?pin-value=secret ',
    'pkcs11:?module-path=secret',
  ]) {
    assert.not.match(refused(text), 'secret');
  }
});

test('refuses values that are no text', () => {
  refused('pkcs11:token=%ff');
  refused('pkcs11:object=a%00b');
});

test('writes a URI that selects the same and has no query', () => {
  const text = 'pkcs11:slot-id=0;token=a%20b;object=%C3%BC;id=%01%FE;type=private?pin-value=1234';
  const { tokenSelector, objectSelector } = parseUri(text);
  const written = formatUri(tokenSelector, objectSelector);
  assert.not.match(written, '1234');
  const again = parseUri(written);
  assert.equal([again.tokenSelector, again.objectSelector], [tokenSelector, objectSelector]);
});

test.run();
