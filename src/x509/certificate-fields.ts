/** What a certificate says, read from its DER beside node:crypto's X509Certificate, which lacks most of it. */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { namedCurveOf, spkiOf } from './algorithm.ts';
import { decode, type Element, encode } from './der/asn1.ts';
import { childrenOf, isContext, membersOf, smallIntegerOf } from './der/read.ts';
import {
  type BasicConstraints,
  decodeExtensions,
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
import { decodeValidity, type Validity } from './validity.ts';

/** A certificate as it is read: over node:crypto's X509Certificate, with what that lacks. */
export interface Certificate extends Validity {
  readonly der: Buffer;
  readonly x509: X509Certificate;
  /** 1 for one without extensions, which cannot say whether it is a CA. */
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
  /** In the one form that a key has here, whatever form the certificate has. */
  readonly spki: Buffer;
  /** Undefined for a kind of key that OpenSSL does not know. */
  readonly publicKey: KeyObject | undefined;
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

/** The parts of a TBSCertificate that are read. */
interface Parts {
  readonly version: Element | undefined;
  readonly issuer: Element;
  readonly validity: Element;
  readonly subject: Element;
  readonly key: Element;
  readonly extensions: Element | undefined;
}

/** What a certificate that OpenSSL could read says; InvalidArgs naming `what` when a part of it makes no sense. */
export function readFields(x509: X509Certificate, what: string): Certificate {
  const parts = partsOf(x509.raw, what);
  const { version } = parts;
  const key = keyOf(x509, encode(parts.key), what);
  return {
    x509,
    der: x509.raw,
    version: version === undefined ? 1 : smallIntegerOf(childrenOf(version, what)[0], what) + 1,
    serialNumber: x509.serialNumber.toLowerCase().replace(/^0$/, '00'),
    fingerprint: createHash('sha256').update(x509.raw).digest('hex'),
    ...decodeValidity(parts.validity, what),
    ...namesOf(parts),
    ...key,
    ...rightsOf(parts.extensions === undefined ? [] : childrenOf(parts.extensions, what), key.spki),
  };
}

function partsOf(der: Buffer, what: string): Parts {
  // older CAs were less strict about DER, and what counts are the bytes that node:crypto checks
  const [tbs] = membersOf(decode(der, what, { ber: true }), 'sequence', what);
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
  return { version, issuer, validity, subject, key, extensions };
}

function keyOf(
  x509: X509Certificate,
  spki: Buffer,
  what: string,
): Pick<Certificate, 'publicKey' | 'spki'> {
  const publicKey = publicKeyOf(x509);
  if (publicKey === undefined) return { publicKey, spki };
  if (publicKey.asymmetricKeyType === 'ec' && namedCurveOf(publicKey) === undefined) {
    // whoever chooses the parameters can make them fit somebody else's public key
    const why = 'has explicit EC parameters that are those of no named curve';
    throw new ServiceError('InvalidArgs', `the key of ${what} ${why}`);
  }
  return { publicKey, spki: spkiOf(publicKey) };
}

function publicKeyOf(x509: X509Certificate): KeyObject | undefined {
  try {
    return x509.publicKey;
  } catch {
    return undefined; // such a certificate can be kept and handed out all the same
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

function rightsOf([element]: readonly Element[], spki: Buffer) {
  const extensions = element === undefined ? [] : decodeExtensions(element);
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
