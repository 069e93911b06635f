/** Distinguished names, as RFC 4514 text and as DER. The text begins with the last part of the DER. */
import { ServiceError } from '../errors.ts';
import { decode, type Element, encode, oid, sequence, set, text, universal } from './der/asn1.ts';
import { contentOf, membersOf, oidOf } from './der/read.ts';
import { type Span, spanAt, tags, viewOf } from './der/tlv.ts';

/** One part of a name, such as `CN` and `edge`; a type without a short name is a dotted OID. */
export interface NameAttribute {
  readonly type: string;
  readonly value: string;
  /** The DER of a value that is not a text, or whose type has no short name. */
  readonly der?: Buffer | undefined;
}

/** A name in the order of DER, from country to common name; a part may have several attributes. */
export type Name = readonly (readonly NameAttribute[])[];

interface AttributeKind {
  readonly oid: string;
  readonly string: number;
  readonly maxLength: number;
}

function kind(id: string, maxLength: number, string: number = universal.utf8String): AttributeKind {
  return { oid: id, string, maxLength };
}

// lengths are the upper bounds of RFC 5280 appendix A
const kinds: ReadonlyMap<string, AttributeKind> = new Map([
  ['CN', kind('2.5.4.3', 64)],
  ['serialNumber', kind('2.5.4.5', 64, universal.printableString)],
  ['C', kind('2.5.4.6', 2, universal.printableString)],
  ['L', kind('2.5.4.7', 128)],
  ['ST', kind('2.5.4.8', 128)],
  ['STREET', kind('2.5.4.9', 128)],
  ['O', kind('2.5.4.10', 64)],
  ['OU', kind('2.5.4.11', 64)],
  ['UID', kind('0.9.2342.19200300.100.1.1', 256)],
  ['DC', kind('0.9.2342.19200300.100.1.25', 255, universal.ia5String)],
  ['emailAddress', kind('1.2.840.113549.1.9.1', 255, universal.ia5String)],
  ['SN', kind('2.5.4.4', 40)],
  ['GN', kind('2.5.4.42', 16)],
  ['title', kind('2.5.4.12', 64)],
  ['dnQualifier', kind('2.5.4.46', 64, universal.printableString)],
  ['postalCode', kind('2.5.4.17', 40)],
  ['businessCategory', kind('2.5.4.15', 128)],
  ['organizationIdentifier', kind('2.5.4.97', 256)],
  ['unstructuredName', kind('1.2.840.113549.1.9.2', 255)],
]);
const shortNames = new Map([...kinds].map(([name, { oid: id }]) => [id, name]));
/** The short names of attributes by the content of their OID, as latin1. */
const shortNamesByDer = new Map(
  [...kinds].map(([name, { oid: id }]) => [contentOf(oid(id), 'OID').toString('latin1'), name]),
);
const byLowerCase = new Map([...kinds.keys()].map((name) => [name.toLowerCase(), name]));
const maxParts = 32;
/** The string types of one octet per character that OpenSSL treats as text. */
const latin1Strings: ReadonlySet<number> = new Set([
  universal.numericString,
  universal.printableString,
  universal.teletexString,
  universal.ia5String,
]);

/** Parses a name such as `CN=edge,O=Contoso` (RFC 4514); InvalidArgs. */
export function parseName(value: string): Name {
  if (value === '') return [];
  const parts = split(value, ',').map((part) => split(part, '+').map(parseAttribute));
  if (parts.length > maxParts) refuse(value, 'has too many parts');
  return parts.toReversed();
}

/** The text of a name (RFC 4514). */
export function formatName(name: Name): string {
  return name
    .map((part) => part.map(formatAttribute).join('+'))
    .toReversed()
    .join(',');
}

/** Whether two names are the same, regardless of string types and the order of attributes within a part. */
export function isSameName(one: Name, other: Name): boolean {
  return spelledParts(one).join(',') === spelledParts(other).join(',');
}

/** The texts of the parts of a name, equal for equal parts as `isSameName` compares them. */
export function spelledParts(name: Name): readonly string[] {
  return name.map((part) => part.map(formatAttribute).toSorted().join('+'));
}

/** The DER of a name; InvalidArgs when an attribute is unknown, too long or not encodable in its type. */
export function encodeName(name: Name): Buffer {
  return encode(sequence(...name.map((part) => set(...part.map(encodeAttribute)))));
}

/** Decodes a name; InvalidArgs. */
export function decodeName(element: Element): Name {
  return membersOf(element, 'sequence', 'name').map((part) =>
    membersOf(part, 'set', 'name').map((attribute) => {
      const [type, value] = membersOf(attribute, 'sequence', 'name');
      const id = oidOf(type, 'name');
      if (value === undefined) return refuse(id, 'has no value');
      const [short, text] = [shortNames.get(id), decodeText(value)];
      const plain = { type: short ?? id, value: text ?? '' };
      return short === undefined || text === undefined ? { ...plain, der: encode(value) } : plain;
    }),
  );
}

/** The text of a name that is in these bytes; InvalidArgs naming `what`. */
export function nameTextOf(bytes: Buffer, name: Span, what: string): string {
  return (
    plainTextOf(bytes, name) ??
    formatName(decodeName(decode(viewOf(bytes, name).bytes, what, { ber: true })))
  );
}

/** As `nameTextOf`, in a fraction of its time, for a name of texts with short names; undefined for any other. */
function plainTextOf(bytes: Buffer, name: Span): string | undefined {
  if (name.tag !== tags.sequence) return undefined;
  let text = '';
  for (let at = name.from; at < name.to; ) {
    const part = spanAt(bytes, at, name.to);
    const attribute = part?.tag === tags.set ? spanAt(bytes, part.from, part.to) : undefined;
    if (attribute?.tag !== tags.sequence || attribute.end !== part?.to) return undefined;
    const type = spanAt(bytes, attribute.from, attribute.to);
    const value = type?.tag === tags.oid ? spanAt(bytes, type.end, attribute.to) : undefined;
    if (type === undefined || value?.end !== attribute.to) return undefined;
    const short = shortNamesByDer.get(bytes.toString('latin1', type.from, type.to));
    const isUtf8 = value.tag === universal.utf8String;
    if (short === undefined || !(isUtf8 || latin1Strings.has(value.tag))) return undefined;
    const written = bytes.toString(isUtf8 ? 'utf8' : 'latin1', value.from, value.to);
    text = `${short}=${escape(written)}${text === '' ? '' : ','}${text}`;
    at = part.end;
  }
  return text;
}

/** The common name: the last one when there are several. */
export function commonNameOf(name: Name): string | undefined {
  return name.flat().findLast(({ type }) => type === 'CN')?.value;
}

function encodeAttribute({ type, value }: NameAttribute): Element {
  const known = kinds.get(type);
  if (known === undefined) return refuse(type, 'is not an attribute of a name that is known here');
  if (value === '' || Array.from(value).length > known.maxLength || value.includes('\0')) {
    refuse(`${type}=${value}`, `has no value of 1 to ${known.maxLength} characters`);
  }
  if (known.string === universal.printableString && !/^[A-Za-z0-9 '()+,./:=?-]+$/.test(value)) {
    refuse(`${type}=${value}`, 'has characters that a PrintableString cannot have');
  }
  if (known.string === universal.ia5String && !/^[\x20-\x7e]+$/.test(value)) {
    refuse(`${type}=${value}`, 'has characters that are not ASCII');
  }
  return sequence(oid(known.oid), text(known.string, value));
}

/** The text of a value; undefined for other types, such as the BIT STRING of a unique identifier. */
function decodeText(element: Element): string | undefined {
  if (element.tagClass !== 0 || typeof element.value !== 'string') return undefined;
  // node-forge has already decoded a BMPString
  if (element.type === universal.bmpString) return wellFormed(element.value);
  const bytes = contentOf(element, 'name');
  if (element.type === universal.utf8String) return bytes.toString('utf8');
  if (element.type === universal.universalString) return decodeUtf32(bytes);
  return latin1Strings.has(element.type) ? bytes.toString('latin1') : undefined;
}

function decodeUtf32(bytes: Buffer): string | undefined {
  if (bytes.length % 4 !== 0) return undefined;
  const characters = Array.from({ length: bytes.length / 4 }, (_, at) => {
    const code = bytes.readUInt32BE(at * 4);
    return code <= 0x10_ffff ? String.fromCodePoint(code) : '\uFFFD';
  });
  return wellFormed(characters.join(''));
}

/** Replaces lone surrogates. */
function wellFormed(value: string): string {
  return Buffer.from(value).toString();
}

/** Splits at unescaped separators; escapes are preserved. */
function split(value: string, separator: string): string[] {
  const parts = [''];
  for (let at = 0; at < value.length; at++) {
    const character = value.charAt(at);
    if (character === separator) {
      parts.push('');
      continue;
    }
    const taken = character === '\\' ? value.slice(at, at + 2) : character;
    parts.push(`${parts.pop() ?? ''}${taken}`);
    at += taken.length - 1;
  }
  return parts;
}

function parseAttribute(part: string): NameAttribute {
  const at = part.indexOf('=');
  const type = byLowerCase.get(part.slice(0, Math.max(at, 0)).trim().toLowerCase());
  if (type === undefined) return refuse(part, 'is not TYPE=value with a known type');
  const value = unescape(withoutBlanks(part.slice(at + 1)));
  const attribute = { type, value };
  encodeAttribute(attribute);
  return attribute;
}

/** Trims blanks, except escaped ones. */
function withoutBlanks(text: string): string {
  const value = text.replace(/^ +/, '');
  let end = value.length;
  while (value[end - 1] === ' ') end--;
  let backslashes = 0;
  while (value[end - 1 - backslashes] === '\\') backslashes++;
  return value.slice(0, end + (backslashes % 2));
}

function unescape(value: string): string {
  return value.replace(/((?:\\[0-9A-Fa-f]{2})+)|\\(.)|\\$/gs, (whole, hex, one) => {
    if (typeof hex === 'string') return Buffer.from(hex.replaceAll('\\', ''), 'hex').toString();
    if (typeof one === 'string' && ' "#+,;<=>\\'.includes(one)) return one;
    return refuse(value, `has the unknown escape ${String(whole)}`);
  });
}

/** A value that is not a text, or of a type without a short name, is written as its DER (RFC 4514 2.4). */
function formatAttribute({ type, value, der }: NameAttribute): string {
  return der === undefined
    ? `${type}=${escape(value)}`
    : `${type}=#${der.toString('hex').toUpperCase()}`;
}

const special = /["+,;<>\\\p{Cc}]|^[ #]| $/u;

function escape(value: string): string {
  if (!special.test(value)) return value;
  return value
    .replace(/["+,;<>\\]/g, '\\$&')
    .replace(/^[ #]| $/g, '\\$&')
    .replace(/\p{Cc}/gu, escapeBytes);
}

function escapeBytes(character: string): string {
  return Buffer.from(character).toString('hex').replace(/../g, '\\$&');
}

function refuse(value: string, why: string): never {
  throw new ServiceError('InvalidArgs', `name ${JSON.stringify(value.slice(0, 160))} ${why}`);
}
