/** The attributes that an EST server wants in requests (RFC 7030 4.5.2, RFC 9908). */
import { ServiceError } from '../../../errors.ts';
import { decode, type Element, encode, universal } from '../../../x509/der/asn1.ts';
import {
  bytesOf,
  childrenOf,
  isContext,
  isUniversal,
  membersOf,
  oidOf,
} from '../../../x509/der/read.ts';

/** Something that a request has to contain. */
export interface Demand {
  readonly oid: string;
  /** For messages. */
  readonly name: string;
  /** The DER that has to be in the request beside the OID. */
  readonly value?: Buffer | undefined;
}

const what = 'the answer of csrattrs';
const challengePassword = '1.2.840.113549.1.9.7';
const extensionRequest = '1.2.840.113549.1.9.14';
const requestTemplate = '1.2.840.113549.1.9.16.2.61';
const extensionTemplate = '1.2.840.113549.1.9.16.2.62';
const rsaEncryption = '1.2.840.113549.1.1.1';
const ecPublicKey = '1.2.840.10045.2.1';
/** More than any policy has. */
const maxDemands = 64;

const names: ReadonlyMap<string, string> = new Map([
  [challengePassword, 'challengePassword'],
  [extensionRequest, 'extensionRequest'],
  [rsaEncryption, 'rsaEncryption'],
  [ecPublicKey, 'id-ecPublicKey'],
  ['1.2.840.10045.3.1.7', 'secp256r1'],
  ['1.3.132.0.34', 'secp384r1'],
  ['1.3.132.0.35', 'secp521r1'],
  ['1.2.840.10045.4.3.2', 'ecdsa-with-SHA256'],
  ['1.2.840.10045.4.3.3', 'ecdsa-with-SHA384'],
  ['1.2.840.10045.4.3.4', 'ecdsa-with-SHA512'],
  ['1.2.840.113549.1.1.11', 'sha256WithRSAEncryption'],
  ['1.2.840.113549.1.1.12', 'sha384WithRSAEncryption'],
  ['1.2.840.113549.1.1.13', 'sha512WithRSAEncryption'],
  ['2.16.840.1.101.3.4.2.1', 'SHA-256'],
  ['2.16.840.1.101.3.4.2.2', 'SHA-384'],
  ['2.16.840.1.101.3.4.2.3', 'SHA-512'],
  ['1.3.101.112', 'Ed25519'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
  ['1.3.6.1.1.1.1.22', 'macAddress'],
  ['2.5.4.3', 'commonName'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'countryName'],
  ['2.5.4.10', 'organizationName'],
  ['2.5.4.11', 'organizationalUnitName'],
  ['2.5.29.15', 'keyUsage'],
  ['2.5.29.17', 'subjectAltName'],
  ['2.5.29.19', 'basicConstraints'],
  ['2.5.29.37', 'extKeyUsage'],
]);

/** The demands in the DER of CsrAttrs, none in an empty answer; InvalidArgs when it is malformed. */
export function parseCsrAttributes(der: Buffer): readonly Demand[] {
  if (der.length === 0) return [];
  const demands = membersOf(decode(der, what, { ber: true }), 'sequence', what).flatMap((member) =>
    isUniversal(member, universal.oid)
      ? [demandFor(oidOf(member, what))]
      : attributeDemands(member),
  );
  if (demands.length > maxDemands) {
    throw new ServiceError('InvalidArgs', `${what} has more than ${maxDemands} attributes`);
  }
  return demands;
}

/** Whether the password of a request has to be the tls-unique of its connection. */
export function wantsChallengePassword(demands: readonly Demand[]): boolean {
  return demands.some((demand) => demand.oid === challengePassword);
}

function demandFor(id: string, value?: Buffer, detail = ''): Demand {
  return { oid: id, name: `${names.get(id) ?? id}${detail}`, value };
}

/** The demands of an attribute with values. */
function attributeDemands(attribute: Element): readonly Demand[] {
  const [type, set] = membersOf(attribute, 'sequence', what);
  const id = oidOf(type, what);
  const values = set === undefined ? [] : membersOf(set, 'set', what);
  if (id === extensionRequest || id === extensionTemplate) return values.flatMap(extensionDemands);
  if (id === requestTemplate) return values.flatMap(templateDemands);
  if (id === rsaEncryption) return values.map((value) => rsaDemand(id, value));
  const named = values.filter((value) => isUniversal(value, universal.oid));
  return [demandFor(id), ...named.map((value) => demandFor(oidOf(value, what)))];
}

function rsaDemand(id: string, size: Element): Demand {
  const value = encode(size);
  return demandFor(id, value, ` of ${numberIn(value)} bits`);
}

/** Extensions with or without values, or the OIDs of extensions alone. */
function extensionDemands(list: Element): readonly Demand[] {
  if (isUniversal(list, universal.oid)) return [demandFor(oidOf(list, what))];
  return membersOf(list, 'sequence', what).map((extension) => {
    if (isUniversal(extension, universal.oid)) return demandFor(oidOf(extension, what));
    const [id, ...rest] = membersOf(extension, 'sequence', what);
    const value = rest.find((one) => isUniversal(one, universal.octetString));
    return demandFor(oidOf(id, what), value && bytesOf(value, 'octetString', what));
  });
}

/** CertificationRequestInfoTemplate: version, subject, [0] public key, [1] attributes (RFC 9908 3.4). */
function templateDemands(template: Element): readonly Demand[] {
  const [, ...parts] = membersOf(template, 'sequence', what);
  return parts.flatMap((part) => {
    if (isContext(part, 0)) return keyDemands(part);
    if (isContext(part, 1)) return childrenOf(part, what).flatMap(attributeDemands);
    return subjectDemands(part);
  });
}

/** RDNs whose values may be missing, which the client fills in. */
function subjectDemands(subject: Element): readonly Demand[] {
  return membersOf(subject, 'sequence', what).flatMap((part) =>
    membersOf(part, 'set', what).map((attribute) => {
      const [type, value] = membersOf(attribute, 'sequence', what);
      return demandFor(oidOf(type, what), value && encode(value));
    }),
  );
}

function keyDemands(key: Element): readonly Demand[] {
  const [algorithm, bits] = childrenOf(key, what);
  const [type, parameters] = membersOf(algorithm, 'sequence', what);
  const id = oidOf(type, what);
  const curve = isUniversal(parameters, universal.oid) ? [demandFor(oidOf(parameters, what))] : [];
  // a modulus of the wanted length stands in place of a key
  if (id === rsaEncryption && isUniversal(bits, universal.bitString)) {
    const size = modulusBits(bytesOf(bits, 'bitString', what).subarray(1));
    if (size !== undefined) return [demandFor(id, integerOf(size), ` of ${size} bits`)];
  }
  return [demandFor(id), ...curve];
}

function modulusBits(key: Buffer): number | undefined {
  const [modulus] = membersOf(decode(key, what, { ber: true }), 'sequence', what);
  const bytes = bytesOf(modulus, 'integer', what);
  const start = bytes.findIndex((byte) => byte !== 0);
  return start < 0 ? undefined : (bytes.length - start) * 8;
}

function integerOf(value: number): Buffer {
  const digits = value.toString(16);
  const content = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([universal.integer, content.length]), content]);
}

/** A small number in DER, such as the length of a key; 0 for any other. */
export function numberIn(der: Buffer): number {
  const bytes = bytesOf(decode(der, what, { ber: true }), 'integer', what);
  return bytes.length >= 1 && bytes.length <= 4 ? bytes.readUIntBE(0, bytes.length) : 0;
}
