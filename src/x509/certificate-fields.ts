/** The fields of a certificate, read from its DER: node:crypto's X509Certificate lacks most of them. */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { namedCurveOf, spkiOf } from './algorithm.ts';
import { decode, type Element, encode } from './der/asn1.ts';
import { childrenOf, isContext, membersOf, smallIntegerOf } from './der/read.ts';
import {
  type BasicConstraints,
  decodeExtensions,
  type Extension,
  extensionOids,
  type KeyUsage,
  keyIdentifier,
  listAlternativeNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyId,
} from './extensions.ts';
import { decodeName, formatName, type Name } from './name.ts';
import { signatureAlgorithmName } from './signature-algorithm-name.ts';
import { decodeValidity, type Validity } from './validity.ts';

/** A parsed certificate. */
export interface Certificate extends Validity {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  /** 1 for a certificate without extensions, which cannot state whether it is a CA. */
  readonly version: number;
  readonly subject: Name;
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  /** RFC 4514. */
  readonly subjectText: string;
  /** RFC 4514. */
  readonly issuerText: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** The canonical SubjectPublicKeyInfo, see `spkiOf`. */
  readonly spki: Buffer;
  /** Undefined for a key that OpenSSL does not support. */
  readonly publicKey: KeyObject | undefined;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** Of the issuer's signature, see `signatureAlgorithmName`. */
  readonly signatureAlgorithm: string;
  /** As they are encoded. */
  readonly extensions: readonly Extension[];
  /** Such as `dns:edge`. */
  readonly alternativeNames: readonly string[];
  readonly basicConstraints: BasicConstraints;
  /** Undefined when the certificate does not restrict the use of its key. */
  readonly keyUsage: readonly KeyUsage[] | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** The authority key identifier of certificates that this one issues. */
  readonly keyIdentifier: Buffer;
}

/** The parts of a certificate that are read. */
interface Parts {
  readonly algorithm: Element | undefined;
  readonly version: Element | undefined;
  readonly issuer: Element;
  readonly validity: Element;
  readonly subject: Element;
  readonly key: Element;
  readonly extensions: Element | undefined;
}

/** The fields of a certificate that OpenSSL could read; InvalidArgs naming `what` when one of them is malformed. */
export function readFields(x509: X509Certificate, what: string): Certificate {
  const parts = partsOf(x509.raw, what);
  const { version } = parts;
  const key = keyOf(x509, encode(parts.key), what);
  const extensions = extensionsOf(parts.extensions, what);
  return {
    x509,
    der: x509.raw,
    version: version === undefined ? 1 : smallIntegerOf(childrenOf(version, what)[0], what) + 1,
    serialNumber: x509.serialNumber.toLowerCase().replace(/^0$/, '00'),
    fingerprint: createHash('sha256').update(x509.raw).digest('hex'),
    ...decodeValidity(parts.validity, what),
    ...namesOf(parts),
    ...key,
    signatureAlgorithm: signatureAlgorithmName(parts.algorithm, what),
    extensions,
    ...rightsOf(extensions, key.spki),
  };
}

function partsOf(der: Buffer, what: string): Parts {
  // older CAs were less strict about DER, and signatures cover the bytes that node:crypto checks
  const [tbs, algorithm] = membersOf(decode(der, what, { ber: true }), 'sequence', what);
  const all = membersOf(tbs, 'sequence', what);
  const [version, , , issuer, validity, subject, key, ...rest] = isContext(all[0], 0)
    ? all
    : [undefined, ...all];
  if (
    issuer === undefined ||
    validity === undefined ||
    subject === undefined ||
    key === undefined
  ) {
    throw new ServiceError('InvalidArgs', `${what} lacks a part`);
  }
  const extensions = rest.find((element) => isContext(element, 3));
  return { algorithm, version, issuer, validity, subject, key, extensions };
}

function keyOf(
  x509: X509Certificate,
  spki: Buffer,
  what: string,
): Pick<Certificate, 'publicKey' | 'spki'> {
  const publicKey = publicKeyOf(x509);
  if (publicKey === undefined) return { publicKey, spki };
  if (publicKey.asymmetricKeyType === 'ec' && namedCurveOf(publicKey) === undefined) {
    // chosen parameters can be made to fit the public key of another party
    const why = 'has explicit EC parameters that are those of no named curve';
    throw new ServiceError('InvalidArgs', `the key of ${what} ${why}`);
  }
  return { publicKey, spki: spkiOf(publicKey) };
}

function publicKeyOf(x509: X509Certificate): KeyObject | undefined {
  try {
    return x509.publicKey;
  } catch {
    return undefined; // such a certificate can be stored and exported all the same
  }
}

function namesOf({ subject, issuer }: Parts) {
  const name = decodeName(subject);
  return {
    subject: name,
    subjectDer: encode(subject),
    issuerDer: encode(issuer),
    subjectText: formatName(name),
    issuerText: formatName(decodeName(issuer)),
  };
}

function extensionsOf(tagged: Element | undefined, what: string): readonly Extension[] {
  const [element] = tagged === undefined ? [] : childrenOf(tagged, what);
  return element === undefined ? [] : decodeExtensions(element);
}

function rightsOf(extensions: readonly Extension[], spki: Buffer) {
  const byOid = new Map(extensions.map((extension) => [extension.oid, extension]));
  const constraints = byOid.get(extensionOids.basicConstraints);
  const usage = byOid.get(extensionOids.keyUsage);
  const purposes = byOid.get(extensionOids.extendedKeyUsage);
  const identifier = byOid.get(extensionOids.subjectKeyId);
  const names = byOid.get(extensionOids.subjectAlternativeName);
  return {
    alternativeNames: names === undefined ? [] : listAlternativeNames(names),
    basicConstraints: constraints === undefined ? { ca: false } : readBasicConstraints(constraints),
    keyUsage: usage === undefined ? undefined : readKeyUsage(usage),
    extendedKeyUsage: purposes === undefined ? undefined : readExtendedKeyUsage(purposes),
    keyIdentifier: identifier === undefined ? keyIdentifier(spki) : readSubjectKeyId(identifier),
  };
}
