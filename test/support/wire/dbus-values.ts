import fc from 'fast-check';
import { Variant, variant } from '../../../src/dbus/wire/variant.ts';

/** One complete type of a signature, independent of the product's parser, which is under test. */
export interface Shape {
  readonly code: 'a' | '{' | '(' | 'v' | (typeof basicCodes)[number];
  readonly signature: string;
  /** The element, the key and the value, or the members. */
  readonly inner: readonly Shape[];
}

/** A variant and the type of its value. */
export class Held {
  readonly shape: Shape;
  readonly value: unknown;

  constructor(shape: Shape, value: unknown) {
    this.shape = shape;
    this.value = value;
  }
}

/** A value with its type: bytes are a Buffer, dictionaries are Maps, variants are `Held`. */
export interface Sample {
  readonly shape: Shape;
  readonly value: unknown;
}

const basicCodes = ['y', 'b', 'n', 'q', 'i', 'u', 'x', 't', 'd', 's', 'o', 'g'] as const;
const longestSignature = 255;

const basic = fc
  .constantFrom(...basicCodes)
  .map((code): Shape => ({ code, signature: code, inner: [] }));
const variantShape: Shape = { code: 'v', signature: 'v', inner: [] };

function arrayOf(element: Shape): Shape {
  return { code: 'a', signature: `a${element.signature}`, inner: [element] };
}

/** Types that nest arrays, structures, dictionaries and variants at most this deep. */
export function shapes(depth: number): fc.Arbitrary<Shape> {
  return nested(depth).filter(({ signature }) => signature.length <= longestSignature);
}

function nested(depth: number): fc.Arbitrary<Shape> {
  if (depth === 0) return basic;
  const below = nested(depth - 1);
  const dictionary = fc.tuple(basic, below).map(([key, value]): Shape => {
    const signature = `{${key.signature}${value.signature}}`;
    return arrayOf({ code: '{', signature, inner: [key, value] });
  });
  const structure = fc.array(below, { minLength: 1, maxLength: 3 }).map((inner): Shape => {
    const signature = `(${inner.map((member) => member.signature).join('')})`;
    return { code: '(', signature, inner };
  });
  return fc.oneof(basic, fc.constant(variantShape), below.map(arrayOf), dictionary, structure);
}

const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));
const path = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_]{1,8}$/), { maxLength: 3 })
  .map((elements) => `/${elements.join('/')}`);

const basicValues: Readonly<Record<(typeof basicCodes)[number], fc.Arbitrary<unknown>>> = {
  y: fc.integer({ min: 0, max: 0xff }),
  b: fc.boolean(),
  n: fc.integer({ min: -0x8000, max: 0x7fff }),
  q: fc.integer({ min: 0, max: 0xffff }),
  i: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  u: fc.integer({ min: 0, max: 0xffffffff }),
  x: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  t: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  d: fc.double(),
  s: text,
  o: path,
  g: fc.array(shapes(2), { maxLength: 3 }).map((all) => all.map((one) => one.signature).join('')),
};

/** Values of a type; the values of variants are nested at most this deep. */
export function valuesOf(shape: Shape, depth: number): fc.Arbitrary<unknown> {
  switch (shape.code) {
    case 'v':
      return samples(Math.max(0, depth - 1)).map((held) => new Held(held.shape, held.value));
    case '(':
      return fc.tuple(...shape.inner.map((member) => valuesOf(member, depth)));
    case 'a':
      return arraysOf(elementOf(shape), depth);
    case '{':
      throw new TypeError('an entry stands in an array');
    default:
      return basicValues[shape.code];
  }
}

/** The type of the elements of an array. */
export function elementOf({ inner: [element], signature }: Shape): Shape {
  if (element === undefined) throw new TypeError(`${signature} is no array`);
  return element;
}

function arraysOf(element: Shape, depth: number): fc.Arbitrary<unknown> {
  if (element.code === 'y') return fc.uint8Array({ maxLength: 9 }).map((one) => Buffer.from(one));
  if (element.code !== '{') return fc.array(valuesOf(element, depth), { maxLength: 4 });
  const [key = variantShape, value = variantShape] = element.inner;
  // dictionaries are decoded to objects, whose keys are texts
  const selector = ([name]: readonly [unknown, unknown]): string => String(name);
  const entries = fc.tuple(valuesOf(key, depth), valuesOf(value, depth));
  return fc.uniqueArray(entries, { maxLength: 4, selector }).map((all) => new Map(all));
}

/** Types up to this depth, each with a value. */
export function samples(depth: number): fc.Arbitrary<Sample> {
  return shapes(depth).chain((shape) => valuesOf(shape, depth).map((value) => ({ shape, value })));
}

/** A value in the form that the product encodes. */
export function writable(value: unknown): unknown {
  if (value instanceof Held) return variant(value.shape.signature, writable(value.value));
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, writable(one)]));
  return Array.isArray(value) ? value.map(writable) : value;
}

/** A normal form that is equal exactly when two values are, generated or decoded: dictionaries have no order. */
export function comparable(value: unknown): unknown {
  if (value instanceof Held) return ['variant', value.shape.signature, comparable(value.value)];
  if (value instanceof Variant) return ['variant', value.signature, comparable(value.value)];
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) {
    return `${typeof value} ${Object.is(value, -0) ? '-0' : String(value)}`;
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const sorted = entries.map(([key, one]) => [String(key), comparable(one)] as const);
  return ['dictionary', ...sorted.sort(([a], [b]) => (a < b ? -1 : 1))];
}
