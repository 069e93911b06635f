import { createHash } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import {
  bitString,
  booleanTrue,
  context,
  decode,
  type Element,
  encode,
  integer,
  octetString,
  oid,
  raw,
  sequence,
  universal,
} from './der/asn1.ts';
import {
  bitsOf,
  bytesOf,
  contentOf,
  isContext,
  isUniversal,
  membersOf,
  oidOf,
  smallIntegerOf,
  wholeBytesOf,
} from './der/read.ts';
import { elementsIn, firstElement, tags } from './der/tlv.ts';
import {
  decodeAlternativeName,
  encodeAlternativeName,
  type SubjectAlternativeName,
  showAlternativeName,
} from './subject-alternative-name.ts';

/** One extension of a certificate or of a request; `value` is the DER inside its OCTET STRING. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** Whether the subject is a CA, and how many CAs may be between it and a leaf. */
export interface BasicConstraints {
  readonly ca: boolean;
  readonly pathLength?: number | undefined;
}

/** OIDs of the supported extensions. */
export const extensionOids = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

/** A permitted use of a key (RFC 5280 4.2.1.3). */
export type KeyUsage = (typeof keyUsages)[number];

const purposes = new Map([
  ['serverAuth', '1.3.6.1.5.5.7.3.1'],
  ['clientAuth', '1.3.6.1.5.5.7.3.2'],
]);
const purposeNames = new Map([...purposes].map(([name, id]) => [id, name]));

/** BasicConstraints, critical. */
export function basicConstraints({ ca, pathLength }: BasicConstraints): Extension {
  const length = ca && pathLength !== undefined ? [integer(pathLength)] : [];
  const value = ca ? sequence(booleanTrue(), ...length) : sequence();
  return { oid: extensionOids.basicConstraints, critical: true, value: encode(value) };
}

/** KeyUsage, critical. */
export function keyUsage(usages: readonly KeyUsage[]): Extension {
  const value = bitString(usages.map((usage) => keyUsages.indexOf(usage)));
  return { oid: extensionOids.keyUsage, critical: true, value: encode(value) };
}

/** ExtendedKeyUsage of `serverAuth`, `clientAuth` or dotted OIDs. */
export function extendedKeyUsage(names: readonly string[]): Extension {
  const value = sequence(...names.map((name) => oid(purposes.get(name) ?? name)));
  return { oid: extensionOids.extendedKeyUsage, critical: false, value: encode(value) };
}

/** SubjectAlternativeName; critical when the subject is empty (RFC 5280 4.2.1.6). */
export function subjectAlternativeName(
  names: readonly SubjectAlternativeName[],
  { critical = false }: { readonly critical?: boolean } = {},
): Extension {
  const value = encode(sequence(...names.map(encodeAlternativeName)));
  return { oid: extensionOids.subjectAlternativeName, critical, value };
}

/** SHA-1 of the key bits: the key identifier of RFC 5280 4.2.1.2, method 1. */
export function keyIdentifier(spki: Uint8Array): Buffer {
  const [, bits] = membersOf(raw(spki), 'sequence', 'public key');
  return createHash('sha1').update(wholeBytesOf(bits, 'public key')).digest();
}

/** SubjectKeyIdentifier. */
export function subjectKeyId(identifier: Uint8Array): Extension {
  const value = encode(octetString(identifier));
  return { oid: extensionOids.subjectKeyId, critical: false, value };
}

/** AuthorityKeyIdentifier. */
export function authorityKeyId(identifier: Uint8Array): Extension {
  const value = encode(sequence(context(0, identifier)));
  return { oid: extensionOids.authorityKeyId, critical: false, value };
}

/** The Extensions SEQUENCE. */
export function encodeExtensions(extensions: readonly Extension[]): Element {
  return sequence(
    ...extensions.map(({ oid: id, critical, value }) =>
      sequence(oid(id), ...(critical ? [booleanTrue()] : []), octetString(value)),
    ),
  );
}

/** The extensions of an Extensions SEQUENCE; InvalidArgs when one is duplicate. */
export function decodeExtensions(element: Element | undefined): readonly Extension[] {
  const extensions = membersOf(element, 'sequence', 'extensions').map(decodeExtension);
  if (new Set(extensions.map(({ oid: id }) => id)).size !== extensions.length) {
    throw new ServiceError('InvalidArgs', 'an extension is there twice');
  }
  return extensions;
}

function decodeExtension(element: Element): Extension {
  const [id, ...rest] = membersOf(element, 'sequence', 'extension');
  const [first, second] = rest;
  const flagged = isUniversal(first, universal.boolean);
  if (rest.length !== (flagged ? 2 : 1)) {
    throw new ServiceError('InvalidArgs', 'an extension is malformed');
  }
  return {
    oid: oidOf(id, 'extension'),
    critical: flagged && contentOf(first, 'extension')[0] !== 0,
    value: bytesOf(flagged ? second : first, 'octetString', 'extension'),
  };
}

/** Decodes a BasicConstraints extension. */
export function readBasicConstraints({ value }: Extension): BasicConstraints {
  const what = 'basic constraints';
  const [first, second] = membersOf(decode(value, what, { ber: true }), 'sequence', what);
  const flagged = isUniversal(first, universal.boolean);
  const length = flagged ? second : first;
  return {
    ca: flagged && contentOf(first, what)[0] !== 0,
    pathLength: length === undefined ? undefined : smallIntegerOf(length, what),
  };
}

/** Decodes a KeyUsage extension. */
export function readKeyUsage({ value }: Extension): readonly KeyUsage[] {
  return bitsOf(decode(value, 'key usage', { ber: true }), 'key usage').flatMap(
    (bit) => keyUsages[bit] ?? [],
  );
}

/** Decodes an ExtendedKeyUsage extension to `serverAuth`, `clientAuth` and dotted OIDs. */
export function readExtendedKeyUsage({ value }: Extension): readonly string[] {
  const what = 'extended key usage';
  return membersOf(decode(value, what, { ber: true }), 'sequence', what)
    .map((purpose) => oidOf(purpose, what))
    .map((id) => purposeNames.get(id) ?? id);
}

/** The names in a SubjectAlternativeName extension; InvalidArgs when one is of an unsupported kind. */
export function readAlternativeNames({ value }: Extension): readonly SubjectAlternativeName[] {
  const what = 'subject alternative name';
  decode(value, what, { ber: true });
  const list = firstElement(value);
  if (list?.tag !== tags.sequence) throw new ServiceError('InvalidArgs', `${what} is malformed`);
  return [...elementsIn(list.content)].map(decodeAlternativeName);
}

/** The names in the extension of any certificate, for display: unsupported ones are left out. */
export function listAlternativeNames({ value }: Pick<Extension, 'value'>): readonly string[] {
  const list = firstElement(value);
  if (list?.tag !== tags.sequence) return [];
  return [...elementsIn(list.content)].flatMap((element) => showAlternativeName(element) ?? []);
}

/** The key identifier in a SubjectKeyIdentifier extension. */
export function readSubjectKeyId({ value }: Extension): Buffer {
  const what = 'subject key identifier';
  return bytesOf(decode(value, what, { ber: true }), 'octetString', what);
}

/** The key identifier in an AuthorityKeyIdentifier extension; undefined when it names the issuer in another way. */
export function readAuthorityKeyId({ value }: Extension): Buffer | undefined {
  const what = 'authority key identifier';
  const members = membersOf(decode(value, what, { ber: true }), 'sequence', what);
  const identifier = members.find((member) => isContext(member, 0));
  return identifier === undefined ? undefined : contentOf(identifier, what);
}
