/** The fields of a certificate, read from its DER: node:crypto's X509Certificate lacks most of them. */
import { hash, type KeyObject, X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { isCanonical, namedCurveOf, spkiOf } from './algorithm.ts';
import { decode, type Element, encode } from './der/asn1.ts';
import { childrenOf, smallIntegerOf } from './der/read.ts';
import { elementsIn, firstElement, type Tlv, tags } from './der/tlv.ts';
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

/** The DER of the object identifier 2.5.29.17. */
const alternativeNameOid = Buffer.from('0603551d11', 'hex');

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

/** The parts of a certificate that are read, each in DER or BER. */
interface Parts {
  readonly algorithm: Tlv | undefined;
  readonly version: Tlv | undefined;
  readonly serial: Tlv;
  readonly issuer: Tlv;
  readonly validity: Tlv;
  readonly subject: Tlv;
  readonly key: Tlv;
  readonly extensions: Tlv | undefined;
}

/**
 * The fields of a certificate, each read at its first use, which throws InvalidArgs naming `what` when it is malformed;
 * so does this function unless there are all parts. OpenSSL, which takes longer than everything else, is used for the
 * key and for `x509` only.
 */
export function lazyFields(
  der: Buffer,
  what: string,
  parse = () => parseX509(der, what),
): Certificate {
  const parts = partsOf(der, what);
  const x509 = once(parse);
  const validity = once(() => decodeValidity(elementOf(parts.validity, what), what));
  const names = once(() => namesOf(parts, what));
  const key = once(() => keyOf(x509(), encode(elementOf(parts.key, what)), what));
  const extensions = once(() => extensionsOf(parts.extensions, what));
  const rights = once(() => rightsOf(extensions()));
  const fingerprint = once(() => hash('sha256', der, 'hex'));
  const alternativeNames = once(() => alternativeNamesOf(parts.extensions));
  return {
    der,
    get x509() {
      return x509();
    },
    get version() {
      return versionOf(parts.version, what);
    },
    get serialNumber() {
      return serialNumberOf(parts.serial);
    },
    get fingerprint() {
      return fingerprint();
    },
    get notBefore() {
      return validity().notBefore;
    },
    get notAfter() {
      return validity().notAfter;
    },
    get subject() {
      return names().subject;
    },
    get subjectDer() {
      return encode(elementOf(parts.subject, what));
    },
    get issuerDer() {
      return encode(elementOf(parts.issuer, what));
    },
    get subjectText() {
      return names().subjectText;
    },
    get issuerText() {
      return names().issuerText;
    },
    get publicKey() {
      return key().publicKey;
    },
    get spki() {
      // without OpenSSL where it would change nothing
      return isCanonical(parts.key.bytes) ? parts.key.bytes : key().spki;
    },
    get signatureAlgorithm() {
      const { algorithm } = parts;
      return signatureAlgorithmName(algorithm && elementOf(algorithm, what), what);
    },
    get extensions() {
      return extensions();
    },
    get alternativeNames() {
      return alternativeNames();
    },
    get basicConstraints() {
      return rights().basicConstraints;
    },
    get keyUsage() {
      return rights().keyUsage;
    },
    get extendedKeyUsage() {
      return rights().extendedKeyUsage;
    },
    get keyIdentifier() {
      return rights().subjectKeyId ?? keyIdentifier(this.spki);
    },
  };
}

function parseX509(der: Buffer, what: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw new ServiceError('InvalidArgs', `${what} is not a certificate`, { cause: error });
  }
}

/** Reads at the first call. */
function once<T>(read: () => T): () => T {
  let result: { readonly value: T } | undefined;
  return () => {
    result ??= { value: read() };
    return result.value;
  };
}

function partsOf(der: Buffer, what: string): Parts {
  // older CAs were less strict about DER, and signatures cover the bytes that node:crypto checks
  const [tbs, algorithm] = membersIn(firstElement(der), what);
  const all = membersIn(tbs, what);
  const [version, serial, , issuer, validity, subject, key, ...rest] =
    all[0]?.tag === tags.context0 ? all : [undefined, ...all];
  if (
    serial === undefined ||
    issuer === undefined ||
    validity === undefined ||
    subject === undefined ||
    key === undefined
  ) {
    throw new ServiceError('InvalidArgs', `${what} lacks a part`);
  }
  const extensions = rest.find((part) => part?.tag === tags.context3);
  return { algorithm, version, serial, issuer, validity, subject, key, extensions };
}

/** The members of a SEQUENCE. */
function membersIn(element: Tlv | undefined, what: string): readonly Tlv[] {
  const isSequence = element?.tag === tags.sequence;
  const members = isSequence ? [...elementsIn(element.content)] : [];
  const last = members.at(-1)?.bytes;
  // an incomplete member ends the list
  const length = members.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (last === undefined || length !== element?.content.length) {
    throw new ServiceError('InvalidArgs', `${what} is malformed`);
  }
  return members;
}

function elementOf({ bytes }: Tlv, what: string): Element {
  return decode(bytes, what, { ber: true });
}

function versionOf(tagged: Tlv | undefined, what: string): number {
  if (tagged === undefined) return 1;
  return smallIntegerOf(childrenOf(elementOf(tagged, what), what)[0], what) + 1;
}

/** Two digits for each byte of the magnitude. */
function serialNumberOf({ content }: Tlv): string {
  const value = BigInt.asIntN(content.length * 8, BigInt(`0x0${content.toString('hex')}`));
  const digits = (value < 0n ? -value : value).toString(16);
  return `${value < 0n ? '-' : ''}${digits.padStart(digits.length + (digits.length % 2), '0')}`;
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

function namesOf(parts: Parts, what: string) {
  const subject = decodeName(elementOf(parts.subject, what));
  return {
    subject,
    subjectText: formatName(subject),
    issuerText: formatName(decodeName(elementOf(parts.issuer, what))),
  };
}

/** As the extension is found without decoding all of them. */
function alternativeNamesOf(tagged: Tlv | undefined): readonly string[] {
  const list = tagged && firstElement(tagged.content);
  for (const { content } of list === undefined ? [] : elementsIn(list.content)) {
    if (!content.subarray(0, alternativeNameOid.length).equals(alternativeNameOid)) continue;
    const value = [...elementsIn(content)].at(-1)?.content;
    return value === undefined ? [] : listAlternativeNames({ value });
  }
  return [];
}

function extensionsOf(tagged: Tlv | undefined, what: string): readonly Extension[] {
  const [element] = tagged === undefined ? [] : childrenOf(elementOf(tagged, what), what);
  return element === undefined ? [] : decodeExtensions(element);
}

function rightsOf(extensions: readonly Extension[]) {
  const byOid = new Map(extensions.map((extension) => [extension.oid, extension]));
  const constraints = byOid.get(extensionOids.basicConstraints);
  const usage = byOid.get(extensionOids.keyUsage);
  const purposes = byOid.get(extensionOids.extendedKeyUsage);
  const identifier = byOid.get(extensionOids.subjectKeyId);
  return {
    basicConstraints: constraints === undefined ? { ca: false } : readBasicConstraints(constraints),
    keyUsage: usage === undefined ? undefined : readKeyUsage(usage),
    extendedKeyUsage: purposes === undefined ? undefined : readExtendedKeyUsage(purposes),
    subjectKeyId: identifier === undefined ? undefined : readSubjectKeyId(identifier),
  };
}
