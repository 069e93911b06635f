import { elementOf, Held, type Sample, type Shape } from './dbus-values.ts';

/** The alignment of each type (D-Bus specification, Summary of D-Bus marshalling). */
const alignments: Readonly<Record<Shape['code'], number>> = {
  y: 1,
  g: 1,
  v: 1,
  n: 2,
  q: 2,
  b: 4,
  i: 4,
  u: 4,
  s: 4,
  o: 4,
  a: 4,
  x: 8,
  t: 8,
  d: 8,
  '(': 8,
  '{': 8,
};

/** The byte order of numbers. */
export type Order = 'little' | 'big';

/** Header fields by their codes. */
type Fields = readonly (readonly [number, Held])[];

/** An independent implementation of the wire format of the specification, to compare the product with. */
class Sink {
  readonly bytes: number[] = [];
  readonly #order: Order;

  constructor(order: Order, offset: number) {
    this.#order = order;
    for (let at = 0; at < offset; at++) this.bytes.push(0);
  }

  align(to: number): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
  }

  /** Appends an integer of `size` bytes, in two's complement. */
  integer(value: bigint, size: number): void {
    this.align(size);
    this.bytes.push(...this.#ordered(value, size));
  }

  /** Appends a length, padding, and the bytes of `write`, which the length counts without the padding. */
  counted(alignment: number, write: () => void): void {
    this.integer(0n, 4);
    const at = this.bytes.length - 4;
    this.align(alignment);
    const start = this.bytes.length;
    write();
    this.bytes.splice(at, 4, ...this.#ordered(BigInt(this.bytes.length - start), 4));
  }

  #ordered(value: bigint, size: number): readonly number[] {
    const little = Array.from({ length: size }, (_, at) =>
      Number((value >> BigInt(8 * at)) & 255n),
    );
    return this.#order === 'little' ? little : little.toReversed();
  }
}

function bitsOf(value: number): bigint {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes.readBigUInt64LE();
}

function write(sink: Sink, shape: Shape, value: unknown): void {
  switch (shape.code) {
    case 's':
    case 'o':
      sink.counted(1, () => sink.bytes.push(...Buffer.from(String(value))));
      sink.bytes.push(0);
      return;
    case 'g':
      sink.bytes.push(String(value).length, ...Buffer.from(String(value)), 0);
      return;
    case 'd':
      sink.integer(bitsOf(Number(value)), 8);
      return;
    case 'v':
      if (!(value instanceof Held)) throw new TypeError('no variant');
      sink.bytes.push(value.shape.signature.length, ...Buffer.from(value.shape.signature), 0);
      write(sink, value.shape, value.value);
      return;
    case '(':
    case '{':
      sink.align(8);
      shape.inner.forEach((member, at) => write(sink, member, (value as readonly unknown[])[at]));
      return;
    case 'a': {
      const element = elementOf(shape);
      const items = value as Iterable<unknown>; // an array, bytes, or the entries of a Map
      sink.counted(alignments[element.code], () => {
        for (const item of items) write(sink, element, item);
      });
      return;
    }
    default:
      sink.integer(BigInt(value as number | bigint | boolean), sizeOf(shape));
  }
}

/** The size of a fixed type, which equals its alignment. */
function sizeOf({ code }: Shape): number {
  return alignments[code];
}

/** Values in the wire format; `offset` is the position of the first one, for its alignment. */
export function encode(values: readonly Sample[], order: Order, offset = 0): Buffer {
  const sink = new Sink(order, offset);
  for (const { shape, value } of values) write(sink, shape, value);
  return Buffer.from(sink.bytes.slice(offset));
}

const simple = (code: 'y' | 'u' | 's' | 'o' | 'g'): Shape => ({ code, signature: code, inner: [] });
const field: Shape = {
  code: '(',
  signature: '(yv)',
  inner: [simple('y'), { code: 'v', signature: 'v', inner: [] }],
};

/**
 * A call of `a.b.Member` with this body. Its header is encoded as the type `yyyyuua(yv)` of the specification, with
 * additional fields before and after the known ones.
 */
export function encodeCall(
  serial: number,
  body: readonly Sample[],
  order: Order,
  { before = [], after = [] }: { readonly before?: Fields; readonly after?: Fields } = {},
): Buffer {
  const signature = body.map(({ shape }) => shape.signature).join('');
  const bytes = encode(body, order);
  const fields: Fields = [
    ...before,
    [1, new Held(simple('o'), '/a/b')],
    [2, new Held(simple('s'), 'a.b')],
    [3, new Held(simple('s'), 'Member')],
    [6, new Held(simple('s'), ':1.7')],
    [8, new Held(simple('g'), signature)],
    ...after,
  ];
  const numbers = [(order === 'little' ? 'l' : 'B').charCodeAt(0), 1, 4, 1];
  const header = encode(
    [
      ...numbers.map((value) => ({ shape: simple('y'), value })),
      { shape: simple('u'), value: bytes.length },
      { shape: simple('u'), value: serial },
      { shape: { code: 'a', signature: 'a(yv)', inner: [field] }, value: fields },
    ],
    order,
  );
  return Buffer.concat([header, Buffer.alloc((8 - (header.length % 8)) % 8), bytes]);
}
