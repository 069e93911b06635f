import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  base64Bytes,
  joinSecret,
  jsonOfPem,
  pemBytes,
} from '../../../../../src/modules/api/workload/secret-buffer.ts';

const test = suite('secret texts');

test('encodes standard base64', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = randomBytes(length);
    assert.is(base64Bytes(bytes).toString(), bytes.toString('base64'));
  }
});

test('stores short base64 outside the heap, where garbage collection would copy it', () => {
  assert.ok(base64Bytes(Buffer.from('secret')).buffer.byteLength > 64);
});

test('writes PEM in lines of 64 characters and wipes the DER', () => {
  const der = randomBytes(100);
  const expected = der.toString('base64').replace(/.{64}/g, '$&\n');
  const pem = pemBytes('PRIVATE KEY', der);
  assert.is(
    pem.toString(),
    `-----BEGIN PRIVATE KEY-----\n${expected}\n-----END PRIVATE KEY-----\n`,
  );
  assert.ok(der.every((byte) => byte === 0));
});

test('embeds a PEM in JSON and wipes it', () => {
  const text = 'a\nb\n\nc';
  const pem = Buffer.from(text);
  const json = joinSecret(['"', jsonOfPem(pem), '"']);
  assert.is(JSON.parse(json.toString()), text);
  assert.ok(pem.every((byte) => byte === 0));
});

test('wipes the parts that it concatenates', () => {
  const part = Buffer.from('secret');
  assert.is(joinSecret(['a ', part, ' b']).toString(), 'a secret b');
  assert.ok(part.every((byte) => byte === 0));
});

test.run();
