import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyPem } from '../../../src/native/provider.ts';

const test = suite('key PEM');

function derOf(pem: string): Buffer {
  const lines = pem.trimEnd().split('\n');
  assert.is(lines.shift(), '-----BEGIN IOTEDGE KEY-----');
  assert.is(lines.pop(), '-----END IOTEDGE KEY-----');
  assert.ok(lines.every((line) => line.length <= 64));
  return Buffer.from(lines.join(''), 'base64');
}

test('contains the id and the public key in DER', () => {
  const der = derOf(keyPem('device-id', Uint8Array.of(1, 2, 3)));
  assert.is(
    der.toString('hex'),
    `3010${'0c09'}${Buffer.from('device-id').toString('hex')}0403010203`,
  );
});

test('contains the id of the request that a connection belongs to, with an explicit tag', () => {
  const der = derOf(keyPem('a', Uint8Array.of(1), 'r-1'));
  assert.is(der.toString('hex'), '300d0c0161040101a0050c03722d31');
});

test('encodes lengths in the fewest octets', () => {
  const header = (length: number): string =>
    derOf(keyPem('a', new Uint8Array(length)))
      .subarray(0, 12)
      .toString('hex');
  assert.ok(header(122).startsWith('307f0c0161047a'));
  assert.ok(header(123).startsWith('3081800c0161047b'));
  assert.ok(header(128).startsWith('3081860c0161048180'));
  assert.ok(header(256).startsWith('308201070c016104820100'));
});

test('ends with a line break, and has no empty line', () => {
  const pem = keyPem('a', new Uint8Array(43)); // 48 bytes of DER: one full line
  assert.ok(pem.endsWith('-----END IOTEDGE KEY-----\n'));
  assert.not.match(pem, /\n\n/);
});

test('refuses what cannot be a public key', () => {
  assert.throws(
    () => keyPem('a', new Uint8Array(70_000)),
    (error: unknown) => error instanceof RangeError,
  );
});

test.run();
