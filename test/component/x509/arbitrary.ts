import fc from 'fast-check';
import {
  context,
  type Element,
  integer,
  octetString,
  oid,
  sequence,
  set,
  text,
  universal,
} from '../../../src/x509/der/asn1.ts';
import type { KeyUsage } from '../../../src/x509/extensions.ts';
import type { Name, NameAttribute } from '../../../src/x509/name.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../../src/x509/subject-alternative-name.ts';

/** Any bytes, up to this length. */
export function bytes(maxLength: number, minLength = 0): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((value) => Buffer.from(value));
}

/** Object identifiers in their dotted form. */
export const dotted: fc.Arbitrary<string> = fc
  .tuple(
    fc.nat({ max: 2 }),
    fc.nat({ max: 39 }),
    fc.array(fc.nat({ max: (1 << 28) - 1 }), { minLength: 1, maxLength: 8 }),
  )
  .map(([first, second, rest]) => [first, second, ...rest].join('.'));

/** Elements as the encoder builds them, nested. */
export const elements: fc.Arbitrary<Element> = fc.letrec<{ node: Element }>((tie) => {
  const members = fc.array(tie('node'), { maxLength: 4 });
  return {
    node: fc.oneof(
      { maxDepth: 5, depthSize: 'small', withCrossShrink: true },
      fc.oneof(
        bytes(150).map(octetString),
        bytes(20, 1).map(integer),
        dotted.map(oid),
        fc.string({ unit: 'grapheme' }).map((value) => text(universal.utf8String, value)),
        fc.tuple(fc.nat({ max: 30 }), bytes(20)).map(([number, value]) => context(number, value)),
      ),
      members.map((all) => sequence(...all)),
      members.map((all) => set(...all)),
      fc.tuple(fc.nat({ max: 30 }), members).map(([number, all]) => context(number, all)),
    ),
  };
}).node;

/** A change of bytes at one position. */
type Damage = readonly [kind: 'flip' | 'set' | 'cut' | 'insert' | 'repeat', at: number, n: number];

function damage(data: Buffer, [kind, at, n]: Damage): Buffer {
  const place = Math.floor(at * data.length);
  const [before, after] = [data.subarray(0, place), data.subarray(place)];
  switch (kind) {
    case 'flip':
    case 'set': {
      const changed = Buffer.from(data);
      const old = changed[place];
      if (old !== undefined) changed[place] = kind === 'set' ? n : old ^ (1 << (n & 7));
      return changed;
    }
    case 'cut':
      return Buffer.concat([before, after.subarray(n)]);
    case 'insert':
      return Buffer.concat([before, Buffer.from([n]), after]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, n), after]);
  }
}

/** One of these, damaged in one to four places. */
export function damaged(whole: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const damages = fc.tuple(
    fc.constantFrom('flip', 'set', 'cut', 'insert', 'repeat'),
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.nat({ max: 255 }),
  );
  return fc
    .tuple(fc.constantFrom(...whole), fc.array(damages, { minLength: 1, maxLength: 4 }))
    .map(([data, all]) => all.reduce(damage, data));
}

const anyLetter = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 1 })
  .filter((one) => one !== '\0' && Buffer.from(one).toString() === one);
const printable = fc.constantFrom(..."AZaz09 '()+,./:=?-".split(''));
const ascii = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCodePoint(code));

const attribute: fc.Arbitrary<NameAttribute> = fc.oneof(
  ...(
    [
      ['CN', 64, anyLetter],
      ['O', 64, anyLetter],
      ['L', 128, anyLetter],
      ['GN', 16, anyLetter],
      ['serialNumber', 64, printable],
      ['dnQualifier', 64, printable],
      ['C', 2, printable],
      ['DC', 255, ascii],
      ['emailAddress', 255, ascii],
    ] as const
  ).map(([type, maxLength, letter]) =>
    fc
      .array(letter, { minLength: 1, maxLength })
      .map((letters) => ({ type, value: letters.join('') })),
  ),
);

/** Names that can be encoded. */
export const names: fc.Arbitrary<Name> = fc.array(
  fc.uniqueArray(attribute, { minLength: 1, maxLength: 3, selector: ({ type }) => type }),
  { maxLength: 6 },
);

/** Lists of alternative names that are supported, in their canonical spelling. */
export const alternativeNames: fc.Arbitrary<readonly SubjectAlternativeName[]> = fc.array(
  fc.oneof(
    fc.domain().map((value) => parseAlternativeName('dns', value)),
    fc.ipV4().map((value) => parseAlternativeName('ip', value)),
    fc.ipV6().map((value) => parseAlternativeName('ip', value)),
    fc.webUrl().map((value) => parseAlternativeName('uri', value)),
    fc.constantFrom('a@b', 'x.y+z@example.org').map((v) => parseAlternativeName('email', v)),
  ),
  { maxLength: 5 },
);

/** Combinations of key usages. */
export const usages: fc.Arbitrary<readonly KeyUsage[]> = fc.uniqueArray(
  fc.constantFrom<KeyUsage>(
    'digitalSignature',
    'nonRepudiation',
    'keyEncipherment',
    'dataEncipherment',
    'keyAgreement',
    'keyCertSign',
    'cRLSign',
    'encipherOnly',
    'decipherOnly',
  ),
);
