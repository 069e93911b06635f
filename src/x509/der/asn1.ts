/**
 * DER, by node-forge's ASN.1 reader and writer. Elements hold bytes as latin1 text, as node-forge does. Input must be
 * strict DER: it is encoded again and compared, so that decoded parts are exactly the bytes that were signed.
 */
import asn1, { type ForgeElement } from 'node-forge/lib/asn1.js';
import { ServiceError } from '../../errors.ts';

/** One ASN.1 value with its tag. */
export type Element = ForgeElement;

/** Tag numbers of the universal types that X.509 uses. */
export const universal = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  utf8String: 12,
  sequence: 16,
  set: 17,
  numericString: 18,
  printableString: 19,
  teletexString: 20,
  ia5String: 22,
  utcTime: 23,
  generalizedTime: 24,
  universalString: 28,
  bmpString: 30,
} as const;

/** The largest CSR, certificate or bundle that is read. */
export const maxInputBytes = 256 << 10;

const contextClass = 0x80;
const maxDepth = 32;

/** Decodes one element; InvalidArgs naming `what`. `ber` also accepts BER, as PKCS#7 uses it. */
export function decode(
  bytes: Uint8Array,
  what: string,
  { ber = false }: { readonly ber?: boolean } = {},
): Element {
  if (bytes.length > maxInputBytes) {
    throw new ServiceError('InvalidArgs', `${what} is larger than ${maxInputBytes} bytes`);
  }
  const text = Buffer.from(bytes).toString('latin1');
  const options = { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth };
  try {
    // decodeBitStrings would decode an ECDSA signature to a tree
    const element = asn1.fromDer(text, options);
    if (ber || asn1.toDer(element).getBytes() === text) return element;
  } catch (error) {
    throw new ServiceError('InvalidArgs', `${what} is not DER`, { cause: error });
  }
  throw new ServiceError('InvalidArgs', `${what} is not DER`);
}

/** The DER of an element. */
export function encode(element: Element): Buffer {
  return Buffer.from(asn1.toDer(element).getBytes(), 'latin1');
}

/** Decodes DER that this program or node:crypto encoded. */
export function raw(der: Uint8Array): Element {
  return decode(der, 'DER');
}

function primitive(type: number, bytes: Uint8Array | string): Element {
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('latin1');
  return asn1.create(0, type, false, text);
}

/** SEQUENCE. */
export function sequence(...elements: readonly Element[]): Element {
  return asn1.create(0, universal.sequence, true, elements);
}

/** SET of elements, in the order that DER requires. */
export function set(...elements: readonly Element[]): Element {
  const sorted = elements.toSorted((left, right) => Buffer.compare(encode(left), encode(right)));
  return asn1.create(0, universal.set, true, sorted);
}

/** OBJECT IDENTIFIER. */
export function oid(dotted: string): Element {
  return primitive(universal.oid, asn1.oidToDer(dotted).getBytes());
}

/** INTEGER, of a small number or of unsigned big-endian bytes. */
export function integer(value: number | Uint8Array): Element {
  const bytes = typeof value === 'number' ? Buffer.from([value]) : Buffer.from(value);
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const minimal = bytes.subarray(start);
  const negative = ((minimal[0] ?? 0) & 0x80) !== 0;
  return primitive(
    universal.integer,
    negative ? Buffer.concat([Buffer.alloc(1), minimal]) : minimal,
  );
}

/** BIT STRING of whole bytes, or of the bits named by their numbers. */
export function bitString(value: Uint8Array | readonly number[]): Element {
  if (value instanceof Uint8Array) {
    return primitive(universal.bitString, Buffer.concat([Buffer.alloc(1), value]));
  }
  const last = Math.max(-1, ...value);
  const bytes = Buffer.alloc(Math.floor(last / 8) + 1);
  for (const bit of value) {
    const at = Math.floor(bit / 8);
    bytes.writeUInt8(bytes.readUInt8(at) | (0x80 >> (bit % 8)), at);
  }
  const unused = bytes.length * 8 - (last + 1);
  return primitive(universal.bitString, Buffer.concat([Buffer.from([unused]), bytes]));
}

/** OCTET STRING. */
export function octetString(bytes: Uint8Array): Element {
  return primitive(universal.octetString, bytes);
}

/** BOOLEAN TRUE; DER omits FALSE where that is the default. */
export function booleanTrue(): Element {
  return primitive(universal.boolean, '\xff');
}

/** NULL. */
export function nullValue(): Element {
  return primitive(universal.null, '');
}

/** A text of one of the string types; UTF8String in UTF-8, the others in Latin-1. */
export function text(type: number, value: string): Element {
  return primitive(type, Buffer.from(value, type === universal.utf8String ? 'utf8' : 'latin1'));
}

/** A context tag around elements, or in place of the tag of bytes. */
export function context(number: number, value: readonly Element[] | Uint8Array): Element {
  if (value instanceof Uint8Array) {
    return asn1.create(contextClass, number, false, Buffer.from(value).toString('latin1'));
  }
  return asn1.create(contextClass, number, true, value);
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5). */
export function time(date: Date): Element {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  const year = date.getUTCFullYear();
  const short = year >= 1950 && year < 2050;
  return primitive(
    short ? universal.utcTime : universal.generalizedTime,
    short ? digits.slice(2) : digits,
  );
}
