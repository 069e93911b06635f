import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ecdsaFromDer, ecdsaToDer, tlv } from '../../../../src/keys/material/der.ts';
import { content, members, tags, wholeBits } from '../../../../src/keys/material/der-reader.ts';
import { isStructured } from '../../../../src/keys/material/material.ts';
import { parsePrivateKey } from '../../../../src/keys/material/private-key.ts';
import { holds } from '../../../support/property.ts';

const test = suite('DER of keys');

const bytes = (constraints?: fc.IntArrayConstraints) =>
  fc.uint8Array(constraints).map((array) => Buffer.from(array));
/** Long enough for every length encoding that occurs. */
const contents = fc.oneof(
  { weight: 8, arbitrary: bytes({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 120, max: 300 }).map((size) => Buffer.alloc(size, 7)) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 60_000, max: 65_535 }).map((size) => Buffer.alloc(size, 7)),
  },
);
const tag = fc.integer({ min: 0, max: 0xff });
const elements = fc.array(fc.tuple(tag, contents), { maxLength: 6 });

function isTypeError(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
}

test('is read as it was written', () => {
  const property = fc.property(elements, (all) => {
    const body = all.map(([type, value]) => tlv(type, value));
    if (Buffer.concat(body).length > 0xffff) return;
    const found = members(tlv(tags.sequence, ...body));
    assert.equal(
      found.map((element) => [element?.tag, element?.bytes]),
      all.map(([type, value]) => [type, value]),
    );
  });
  holds(property, 300);
});

test('is refused when it is truncated, followed by more, or not a SEQUENCE', () => {
  const property = fc.property(elements, fc.nat(), tag, (all, cut, type) => {
    const body = all.map(([one, value]) => tlv(one, value));
    if (Buffer.concat(body).length > 0xffff) return;
    const whole = tlv(tags.sequence, ...body);
    const at = cut % whole.length;
    assert.ok(
      isTypeError(() => members(whole.subarray(0, at))),
      `cut at ${at}`,
    );
    assert.ok(isTypeError(() => members(Buffer.concat([whole, Buffer.of(0)]))));
    if (type !== tags.sequence) assert.ok(isTypeError(() => members(tlv(type, ...body))));
  });
  holds(property, 300);
});

test('fails only with its own error when invalid', () => {
  const property = fc.property(bytes({ maxLength: 80 }), fc.boolean(), (noise, isSequence) => {
    const der = isSequence ? tlv(tags.sequence, noise) : noise;
    isTypeError(() => members(der));
    assert.type(isStructured(der), 'boolean');
    assert.is(parsePrivateKey(der), undefined);
    assert.is(ecdsaFromDer(der, 32) === undefined || der[0] === 0x30, true);
  });
  holds(property, 2000);
});

test('is read with lengths of up to four bytes, and not in the indefinite form', () => {
  const one = Buffer.of(0x02, 1, 5);
  for (const length of [[3], [0x81, 3], [0x82, 0, 3], [0x83, 0, 0, 3], [0x84, 0, 0, 0, 3]]) {
    const [element, ...others] = members(Buffer.concat([Buffer.of(0x30, ...length), one]));
    assert.equal([element?.tag, element?.bytes, others.length], [2, Buffer.of(5), 0]);
  }
  for (const length of [[0x80], [0x85, 0, 0, 0, 0, 3], [0x84, 0xff, 0xff, 0xff, 0xff], [4], [2]]) {
    const der = Buffer.concat([Buffer.of(0x30, ...length), one]);
    assert.ok(
      isTypeError(() => members(der)),
      der.toString('hex'),
    );
    assert.ok(isTypeError(() => members(tlv(0x30, der))) || der[1] === 0x02);
  }
  // its length would be 0x80; and one with the shortest form that only BER allows
  const long = tlv(0x04, Buffer.alloc(126));
  assert.is(long.length, 128);
  assert.ok(isTypeError(() => members(Buffer.concat([Buffer.of(0x30, 0x80), long]))));
  assert.is(members(Buffer.concat([Buffer.of(0x30, 0x81, 0x80), long])).length, 1);
  for (const der of [[], [0x30], [0x30, 0x81], [0x30, 0x82, 0]]) {
    assert.ok(isTypeError(() => members(Buffer.from(der))));
  }
});

test('has elements of the expected tag, and strings of whole bytes', () => {
  const element = { tag: tags.octets, bytes: Buffer.of(1, 2) };
  assert.equal(content(element, tags.octets), Buffer.of(1, 2));
  assert.ok(isTypeError(() => content(element, tags.bits)));
  assert.ok(isTypeError(() => content(undefined, tags.octets)));
  assert.equal(wholeBits(Buffer.of(0, 1, 2)), Buffer.of(1, 2));
  assert.ok(isTypeError(() => wholeBits(Buffer.of(1, 2))));
  assert.ok(isTypeError(() => wholeBits(Buffer.alloc(0))));
});

/** A number of a signature, other than 0: of every length, with leading zeros and high bits. */
const half = (size: number) =>
  fc
    .tuple(fc.nat({ max: size - 1 }), bytes({ minLength: size, maxLength: size }))
    .map(([zeros, value]) => Buffer.concat([Buffer.alloc(zeros), value]).subarray(0, size))
    .filter((number) => number.some((byte) => byte !== 0));

test('of an ECDSA signature contains the same two numbers, whatever their size', () => {
  for (const size of [32, 48, 66]) {
    const property = fc.property(half(size), half(size), (r, s) => {
      const raw = Buffer.concat([r, s]);
      const der = ecdsaToDer(raw);
      assert.equal(ecdsaFromDer(der, size), raw);
      // one form for one signature
      assert.is(ecdsaFromDer(Buffer.concat([der, Buffer.of(0)]), size), undefined);
      assert.is(ecdsaFromDer(der.subarray(0, -1), size), undefined);
      const whole = members(der).map((element) => element?.bytes ?? Buffer.alloc(0));
      assert.ok(
        whole.every((one) => (one[0] ?? 0x80) < 0x80),
        'no number is negative',
      );
    });
    holds(property, 300);
  }
});

test('of an ECDSA signature has one form, the shortest', () => {
  const property = fc.property(half(32), half(32), (r, s) => {
    const der = ecdsaToDer(Buffer.concat([r, s]));
    const [first, second] = members(der).map((element) => element?.bytes ?? Buffer.alloc(0));
    assert.ok(first && second);
    const other = (...parts: readonly Buffer[]) => ecdsaFromDer(tlv(0x30, ...parts), 32);
    const integer = (value: Buffer) => tlv(0x02, value);
    assert.ok(other(integer(first), integer(second)));
    const zero = Buffer.of(0);
    assert.is(other(integer(Buffer.concat([zero, first])), integer(second)), undefined);
    assert.is(other(integer(first), integer(Buffer.concat([zero, second]))), undefined);
    assert.is(other(integer(first)), undefined);
    assert.is(other(integer(first), integer(second), integer(second)), undefined);
    assert.is(other(tlv(0x04, first), integer(second)), undefined);
    assert.is(other(integer(first), integer(Buffer.alloc(0))), undefined);
    assert.is(other(integer(Buffer.of(0x80)), integer(second)), undefined);
    const long = Buffer.concat([Buffer.of(1), Buffer.alloc(32)]);
    assert.is(other(integer(long), integer(second)), undefined);
    assert.is(ecdsaFromDer(tlv(0x31, integer(first), integer(second)), 32), undefined);
    const body = der.subarray(2);
    assert.is(ecdsaFromDer(Buffer.concat([Buffer.of(0x30, body.length - 1), body]), 32), undefined);
    assert.is(
      ecdsaFromDer(Buffer.concat([Buffer.of(0x30, 0x81, body.length), body]), 32),
      undefined,
    );
  });
  holds(property, 200);
});

test.run();
