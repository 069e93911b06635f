import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodePss, verifyPss } from '../../../../src/keys/crypto/rsa-padding.ts';
import { sameMac, verifySignature } from '../../../../src/keys/crypto/verify.ts';
import { hashBytes } from '../../../../src/keys/mechanism.ts';

const test = suite('padding of RSA signatures');
const bits = 2048;
const hashes = ['sha256', 'sha384', 'sha512'] as const;

test('of PSS verifies with its own digest and hash, and has a new salt each time', () => {
  for (const name of hashes) {
    const digest = createHash(name).update('message').digest();
    const encodings = Array.from({ length: 4 }, () => encodePss(name, digest, bits));
    assert.is(new Set(encodings.map((encoded) => encoded.toString('hex'))).size, 4);
    for (const encoded of encodings) {
      assert.is(encoded.length, bits / 8);
      assert.ok((encoded[0] ?? 0) < 0x80, 'it is less than the modulus');
      assert.ok(verifyPss(name, digest, encoded));
      assert.not(verifyPss(name, randomBytes(digest.length), encoded));
      for (const other of hashes.filter((one) => one !== name)) {
        assert.not(verifyPss(other, randomBytes(hashBytes(other)), encoded));
      }
    }
  }
});

test('of PSS is refused where any bit of it changed', () => {
  const digest = createHash('sha256').update('message').digest();
  const encoded = encodePss('sha256', digest, bits);
  for (let at = 0; at < encoded.length; at++) {
    for (const bit of [0x01, 0x80]) {
      const changed = Buffer.from(encoded);
      changed[at] = (changed[at] ?? 0) ^ bit;
      assert.not(verifyPss('sha256', digest, changed), `byte ${at}, bit ${bit}`);
    }
  }
});

test('of PSS is refused when it is too short for a hash and a salt', () => {
  const digest = createHash('sha256').update('message').digest();
  for (const length of [0, 1, 2, 33, 64, 65]) {
    assert.not(verifyPss('sha256', digest, Buffer.alloc(length, 0xbc)), `${length} bytes`);
  }
});

test('is refused without an error for wrong signatures of any length', () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: bits });
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  for (const family of ['rsa-pkcs1', 'rsa-pss'] as const) {
    const request = {
      mechanism: { family, hash: 'sha256' },
      data: randomBytes(32),
      prehashed: true,
    } as const;
    for (const length of [0, 1, bits / 8 - 1, bits / 8, bits / 8 + 1, 1024]) {
      for (const fill of [0, 0xff]) {
        const signature = Buffer.alloc(length, fill);
        assert.is(verifySignature({ algorithm: 'rsa-2048', spki }, request, signature), false);
      }
    }
  }
});

test('does not exist for a MAC, which is compared in all of its bytes', () => {
  const mac = randomBytes(32);
  assert.is(sameMac(mac, Buffer.from(mac)), true);
  assert.is(sameMac(mac, mac.subarray(0, 31)), false);
  assert.is(sameMac(mac, Buffer.concat([mac, mac])), false);
  assert.is(sameMac(mac, Buffer.alloc(0)), false);
});

test.run();
