import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { decode, type Element, encode } from './der/asn1.ts';
import { childrenOf, isContext, membersOf } from './der/read.ts';
import {
  type BasicConstraints,
  decodeExtensions,
  type Extension,
  extensionOids,
  type KeyUsage,
  keyIdentifier,
  readAlternativeNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyId,
} from './extensions.ts';
import { decodeName, formatName, type Name } from './name.ts';
import { encodePem, parsePem } from './pem.ts';
import { formatAlternativeName } from './subject-alternative-name.ts';

/** A certificate as it is read: over node:crypto's X509Certificate, with what that lacks. */
export interface Certificate {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  readonly subject: Name;
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  /** RFC 4514. */
  readonly subjectText: string;
  /** RFC 4514. */
  readonly issuerText: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** Such as `dns:edge`. */
  readonly alternativeNames: readonly string[];
  readonly basicConstraints: BasicConstraints;
  /** Undefined when the certificate does not say, and its key may do anything. */
  readonly keyUsage: readonly KeyUsage[] | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** The identifier that certificates issued by this one name it by. */
  readonly keyIdentifier: Buffer;
}

const pemLabels = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];

/** The certificate that DER is, or InvalidArgs naming `what`. */
export function parseCertificate(der: Uint8Array, what: string): Certificate {
  // older CAs were less strict about DER, and what counts are the bytes that node:crypto checks
  const [tbs] = membersOf(decode(der, what, { ber: true }), 'sequence', what);
  const all = membersOf(tbs, 'sequence', what);
  const [, , , issuer, , subject, key, ...rest] = isContext(all[0], 0) ? all : [undefined, ...all];
  if (issuer === undefined || subject === undefined || key === undefined) {
    throw new ServiceError('InvalidArgs', `${what} is not a certificate`);
  }
  const extensions = rest.find((element) => isContext(element, 3));
  try {
    const x509 = new X509Certificate(Buffer.from(der));
    return {
      ...fieldsOf(x509),
      ...names(subject, issuer),
      ...rightsOf(extensions === undefined ? [] : childrenOf(extensions, what), encode(key)),
      spki: encode(key),
    };
  } catch (error) {
    throw new ServiceError('InvalidArgs', `${what} is not a certificate`, { cause: error });
  }
}

/** All certificates of a PEM file, in order; InvalidArgs when there is none, or anything else in it. */
export function parseCertificatesPem(bytes: Uint8Array, what: string): readonly Certificate[] {
  const blocks = parsePem(bytes, what);
  if (blocks.length === 0) throw new ServiceError('InvalidArgs', `${what} holds no certificate`);
  return blocks.map(({ label, der }) => {
    if (!pemLabels.includes(label)) {
      throw new ServiceError('InvalidArgs', `${what} holds a ${label}`);
    }
    return parseCertificate(der, what);
  });
}

/** Certificates as PEM, in their order. */
export function encodeCertificatesPem(certificates: readonly { readonly der: Buffer }[]): string {
  return certificates.map(({ der }) => encodePem(der, 'CERTIFICATE')).join('');
}

/** Whether a certificate may sign others: a CA whose key may sign certificates. */
export function isCa({ basicConstraints, keyUsage }: Certificate): boolean {
  return basicConstraints.ca && keyUsage?.includes('keyCertSign') !== false;
}

/** Whether a certificate names another as its issuer and carries its signature. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    certificate.issuerDer.equals(issuer.subjectDer) && certificate.x509.verify(issuer.publicKey)
  );
}

/** Whether a certificate is signed with its own key. */
export function isSelfSigned(certificate: Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

function fieldsOf(x509: X509Certificate) {
  return {
    x509,
    der: x509.raw,
    publicKey: x509.publicKey,
    serialNumber: x509.serialNumber.toLowerCase(),
    notBefore: timeOf(x509.validFrom),
    notAfter: timeOf(x509.validTo),
    fingerprint: createHash('sha256').update(x509.raw).digest('hex'),
  };
}

/** OpenSSL reads a certificate before it looks at its times, and writes `Bad time value` for what is none. */
function timeOf(text: string): Date {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new RangeError(text);
  return time;
}

function names(subject: Element, issuer: Element) {
  const name = decodeName(subject);
  return {
    subject: name,
    subjectDer: encode(subject),
    issuerDer: encode(issuer),
    subjectText: formatName(name),
    issuerText: formatName(decodeName(issuer)),
  };
}

function rightsOf([element]: readonly Element[], spki: Buffer) {
  const extensions = element === undefined ? [] : decodeExtensions(element);
  const byOid = new Map(extensions.map((extension) => [extension.oid, extension]));
  const constraints = byOid.get(extensionOids.basicConstraints);
  const usage = byOid.get(extensionOids.keyUsage);
  const purposes = byOid.get(extensionOids.extendedKeyUsage);
  const identifier = byOid.get(extensionOids.subjectKeyId);
  return {
    alternativeNames: alternativeNamesOf(byOid.get(extensionOids.subjectAlternativeName)),
    basicConstraints: constraints === undefined ? { ca: false } : readBasicConstraints(constraints),
    keyUsage: usage === undefined ? undefined : readKeyUsage(usage),
    extendedKeyUsage: purposes === undefined ? undefined : readExtendedKeyUsage(purposes),
    keyIdentifier: identifier === undefined ? keyIdentifier(spki) : readSubjectKeyId(identifier),
  };
}

/** For display: names of kinds that are not issued here are left out. */
function alternativeNamesOf(extension: Extension | undefined): readonly string[] {
  if (extension === undefined) return [];
  try {
    return readAlternativeNames(extension).map(formatAlternativeName);
  } catch {
    // a certificate of somebody else may hold other kinds of names; it is no worse for that
    return [];
  }
}
