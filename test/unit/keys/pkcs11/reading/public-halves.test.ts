import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tlv } from '../../../../../src/keys/material/der.ts';
import { tags } from '../../../../../src/keys/material/der-reader.ts';
import { CKA, CKK, CKO } from '../../../../../src/keys/pkcs11/protocol/constants.ts';
import type { Handle, Template } from '../../../../../src/keys/pkcs11/protocol/values.ts';
import { candidatesOf } from '../../../../../src/keys/pkcs11/reading/public-halves.ts';
import type { ObjectView } from '../../../../../src/keys/pkcs11/reading/token-view.ts';

const test = suite('candidates for the public half of a key');

type Attributes = Readonly<Record<number, Buffer | string | number | boolean>>;

/** A token that holds these objects and returns their attributes. */
function view(objects: readonly Attributes[]): ObjectView {
  const isSame = (one: unknown, other: unknown) =>
    Buffer.isBuffer(one) && Buffer.isBuffer(other) ? one.equals(other) : one === other;
  const matches = (object: Attributes, template: Template) =>
    template.every(({ type, value }) => isSame(object[type], value));
  const handles = objects.map((_, at) => Buffer.of(at));
  return {
    find: (template: Template) => handles.filter((_, at) => matches(objects[at] ?? {}, template)),
    attribute: (handle: Handle, type: number) => {
      const value = objects[handle[0] ?? 0]?.[type];
      return Buffer.isBuffer(value) || typeof value === 'string' ? Buffer.from(value) : undefined;
    },
  };
}

const label = 'key';
const ckaId = Buffer.of(5);
const p256 = Buffer.from('06082a8648ce3d030107', 'hex');

function ecPair(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' });
}

/** The point of a key, from the end of its SPKI. */
function pointOf(key: KeyObject, size = 65): Buffer {
  return spkiOf(key).subarray(-size);
}

function privateOf(keyType: number, params?: Buffer): Attributes {
  const shown = params === undefined ? {} : { [CKA.EC_PARAMS]: params };
  return { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.KEY_TYPE]: keyType, ...shown };
}

function publicOf(point: Buffer, more: Attributes = {}): Attributes {
  return {
    [CKA.CLASS]: CKO.PUBLIC_KEY,
    [CKA.TOKEN]: true,
    [CKA.KEY_TYPE]: CKK.EC,
    [CKA.ID]: ckaId,
    [CKA.EC_PARAMS]: p256,
    [CKA.EC_POINT]: point,
    ...more,
  };
}

/** The candidates of the first of the objects. */
function candidates(objects: readonly Attributes[], keyType: number = CKK.EC, id = ckaId) {
  const key = { handle: Buffer.of(0), label, ckaId: id, keyType };
  return candidatesOf(view(objects), key);
}

test('are eight at most, those of its label first', () => {
  const keys = Array.from({ length: 12 }, ecPair);
  const objects = keys.map((key, at) =>
    publicOf(pointOf(key), at < 10 ? {} : { [CKA.LABEL]: label }),
  );
  const { halves } = candidates([privateOf(CKK.EC, p256), ...objects]);
  const expected = [10, 11, 0, 1, 2, 3, 4, 5].map((at) => keys[at]);
  assert.equal(
    halves.map(({ spki }) => spki),
    expected.map((key) => key && spkiOf(key)),
  );
  assert.not(halves.some(({ isCertain }) => isCertain));
});

test('are those of its label where no object has its CKA_ID, eight at most', () => {
  const keys = Array.from({ length: 9 }, ecPair);
  const named = keys.map((key) =>
    publicOf(pointOf(key), { [CKA.ID]: Buffer.of(6), [CKA.LABEL]: label }),
  );
  for (const id of [ckaId, Buffer.alloc(0)]) {
    assert.is(candidates([privateOf(CKK.EC, p256), ...named], CKK.EC, id).halves.length, 8);
  }
  const own = ecPair();
  const { halves } = candidates([privateOf(CKK.EC, p256), ...named, publicOf(pointOf(own))]);
  assert.equal(
    halves.map(({ spki }) => spki),
    [spkiOf(own)],
  );
});

test('contain each object once', () => {
  const key = ecPair();
  const wrapped = tlv(tags.octets, pointOf(key));
  const objects = [privateOf(CKK.EC), publicOf(pointOf(key)), publicOf(wrapped)];
  assert.equal(
    candidates(objects).halves.map(({ spki }) => spki),
    [spkiOf(key)],
  );
});

test('have a raw point as it is, also one that looks as if it were wrapped', () => {
  let key = ecPair();
  // 04 is the tag of an OCTET STRING, and the first byte of a point
  while (pointOf(key)[1] !== 63) key = ecPair();
  for (const point of [pointOf(key), tlv(tags.octets, pointOf(key))]) {
    const { halves } = candidates([privateOf(CKK.EC), publicOf(point)]);
    assert.equal(
      halves.map(({ spki }) => spki),
      [spkiOf(key)],
    );
  }
});

test('of Ed25519 are recognized by either name of the curve', () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  // the object identifier, and the PrintableString "edwards25519" of PKCS#11 3.0
  for (const hex of ['06032b6570', '130c656477617264733235353139']) {
    const params = Buffer.from(hex, 'hex');
    const more = { [CKA.KEY_TYPE]: CKK.EC_EDWARDS, [CKA.EC_PARAMS]: params };
    const objects = [privateOf(CKK.EC_EDWARDS, params), publicOf(pointOf(publicKey, 32), more)];
    const { halves, isOther } = candidates(objects, CKK.EC_EDWARDS);
    assert.equal(
      halves.map(({ algorithm }) => algorithm),
      ['ed25519'],
    );
    assert.equal(
      halves.map(({ spki }) => spki),
      [spkiOf(publicKey)],
    );
    assert.not(isOther);
  }
});

test('are certain for an RSA key, whose exponent may exist in the public key only', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const modulus = { [CKA.MODULUS]: Buffer.from(n, 'base64url') };
  const exponent = { [CKA.PUBLIC_EXPONENT]: Buffer.from(e, 'base64url') };
  const own = { ...privateOf(CKK.RSA), ...modulus };
  const pair = { [CKA.CLASS]: CKO.PUBLIC_KEY, [CKA.TOKEN]: true, ...modulus, ...exponent };
  const other = { ...pair, [CKA.MODULUS]: Buffer.alloc(256, 0xff), [CKA.ID]: ckaId };
  const whole = { ...own, ...exponent };
  for (const objects of [[whole], [whole, other], [own, other, pair]]) {
    const { halves } = candidates(objects, CKK.RSA);
    assert.equal(
      halves.map(({ spki }) => spki),
      [spkiOf(publicKey)],
    );
    assert.ok(halves.every(({ isCertain }) => isCertain));
  }
  assert.equal(candidates([own, other], CKK.RSA).halves, []);
});

test('are empty for an unsupported curve or kind of key, whatever is beside it', () => {
  const secp256k1 = Buffer.from('06052b8104000a', 'hex');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const beside = publicOf(pointOf(publicKey), { [CKA.EC_PARAMS]: secp256k1 });
  for (const objects of [[privateOf(CKK.EC, secp256k1)], [privateOf(CKK.EC, secp256k1), beside]]) {
    assert.equal(candidates(objects), { halves: [], isOther: true });
  }
  assert.ok(candidates([privateOf(1)], 1).isOther, 'DSA');
  assert.equal(candidates([privateOf(CKK.EC, p256)]), { halves: [], isOther: false });
  const damaged = publicOf(Buffer.from('04ff', 'hex'));
  assert.equal(candidates([privateOf(CKK.EC, p256), damaged]), { halves: [], isOther: false });
});

test.run();
