import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { canonicalJson, jsonDigest, keyedDigest } from '../../../../src/modules/docker/digest.ts';

const test = suite('digest');

test('does not depend on the order of keys, at any depth', () => {
  const left = { b: [{ y: 1, x: 2 }], a: null };
  const right = { a: null, b: [{ x: 2, y: 1 }] };
  assert.is(canonicalJson(left), canonicalJson(right));
  assert.is(jsonDigest(left), jsonDigest(right));
});

test('depends on the order of lists and on every value', () => {
  const digests = [{ a: [1, 2] }, { a: [2, 1] }, { a: ['1', 2] }, { b: [1, 2] }].map(jsonDigest);
  assert.is(new Set(digests).size, 4);
});

test('is lower-case hex of 32 bytes', () => {
  assert.match(jsonDigest({}), /^[0-9a-f]{64}$/);
});

test('cannot be computed without its key if it is keyed', () => {
  const [key, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const digest = jsonDigest({ Env: ['PIN=1234'] });
  assert.match(keyedDigest(key, digest), /^[0-9a-f]{64}$/);
  assert.is(keyedDigest(key, digest), keyedDigest(key, digest));
  assert.is.not(keyedDigest(key, digest), keyedDigest(other, digest));
  assert.is.not(keyedDigest(key, digest), digest);
});

test.run();
