/** Decryption with OAEP, whichever side removes the padding: OpenSSL for keys in files, the service for keys in tokens. */
import {
  constants,
  createHash,
  generateKeyPairSync,
  privateEncrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openOaep, unpadOaep } from '../../../../src/keys/crypto/oaep.ts';

const test = suite('OAEP');
const size = 256;
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 8 * size });

/** How a block differs from RFC 8017 7.1.1. */
interface Fault {
  readonly first?: number;
  readonly hash?: string;
  readonly maskHash?: string;
  readonly label?: string;
  readonly zeros?: number;
  readonly mark?: number;
}

function xor(one: Buffer, other: Buffer): Buffer {
  return Buffer.from(one.map((byte, at) => byte ^ (other[at] ?? 0)));
}

function mgf1(hash: string, seed: Buffer, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let count = 0; count < length / 20; count++) {
    blocks.push(
      createHash(hash)
        .update(seed)
        .update(Buffer.of(0, 0, 0, count))
        .digest(),
    );
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** A block before encryption, built according to the RFC except for the fault. */
function blockOf(message: Buffer, fault: Fault = {}): Buffer {
  const { first = 0, hash = 'sha256', maskHash = hash, label = '', zeros = 0, mark = 1 } = fault;
  const labelHash = createHash(hash).update(label).digest();
  const rest = size - 1 - labelHash.length;
  const fill = rest - labelHash.length - 1 - message.length;
  const body = Buffer.concat([labelHash, Buffer.alloc(fill, zeros), Buffer.of(mark), message]);
  const seed = randomBytes(labelHash.length);
  const masked = xor(body, mgf1(maskHash, seed, rest));
  return Buffer.concat([Buffer.of(first), xor(seed, mgf1(maskHash, masked, seed.length)), masked]);
}

/** The plaintext of a block, from both implementations that remove the padding. */
function openings(block: Buffer): readonly (Buffer | undefined)[] {
  const key = { key: publicKey, padding: constants.RSA_NO_PADDING };
  return [unpadOaep(block), openOaep(privateKey, publicEncrypt(key, block))];
}

test('decrypts messages of every length that fits', () => {
  for (const length of [0, 1, 31, 189, 190]) {
    const message = randomBytes(length);
    assert.equal(openings(blockOf(message)), [message, message], `${length} bytes`);
  }
  // messages that begin or end like padding
  for (const message of [Buffer.alloc(10), Buffer.of(1, 1, 0), Buffer.of(0, 1)]) {
    assert.equal(openings(blockOf(message)), [message, message]);
  }
});

test('fails where any part of the padding is wrong', () => {
  const message = randomBytes(20);
  const faults: readonly (readonly [string, Fault])[] = [
    ['SHA-1', { hash: 'sha1' }],
    ['SHA-1 as the mask', { maskHash: 'sha1' }],
    ['SHA-1 with the mask of SHA-256', { hash: 'sha1', maskHash: 'sha256' }],
    ['SHA-384', { hash: 'sha384' }],
    ['a label', { label: 'label' }],
    ['a first byte of 1', { first: 1 }],
    ['padding of 2', { zeros: 2 }],
    ['a mark of 0', { mark: 0 }],
    ['a mark of 2', { mark: 2 }],
  ];
  for (const [what, fault] of faults) {
    const given = fault.mark === 0 ? Buffer.alloc(20) : Buffer.concat([Buffer.of(3), message]);
    assert.equal(openings(blockOf(given, fault)), [undefined, undefined], what);
  }
});

test('fails for a block in which one bit changed', () => {
  const message = randomBytes(20);
  for (let at = 1; at < size; at += 7) {
    const block = blockOf(message);
    block[at] = (block[at] ?? 0) ^ 0x10;
    assert.equal(openings(block), [undefined, undefined], `byte ${at}`);
  }
});

test('is removed by a private key only', () => {
  const key = { key: privateKey, padding: constants.RSA_PKCS1_PADDING };
  const signed = privateEncrypt(key, Buffer.from('signed'));
  assert.is(openOaep(privateKey, signed), undefined);
  assert.is(openOaep(privateKey, Buffer.alloc(size, 0xff)), undefined);
  assert.is(openOaep(privateKey, Buffer.alloc(0)), undefined);
});

test.run();
