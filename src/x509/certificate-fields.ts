/** The fields of a certificate, read from its DER: node:crypto's X509Certificate lacks most of them. */
import { hash, type KeyObject, X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { isCanonical, namedCurveOf, spkiOf } from './algorithm.ts';
import { decode, type Element, encode } from './der/asn1.ts';
import { childrenOf, smallIntegerOf } from './der/read.ts';
import { elementsIn, firstElement, type Span, spanAt, spansIn, tags, viewOf } from './der/tlv.ts';
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
import { decodeName, type Name, nameTextOf } from './name.ts';
import { signatureAlgorithmName } from './signature-algorithm-name.ts';
import { decodeValidity, type Validity } from './validity.ts';

const none: readonly string[] = [];
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
  readonly algorithm: Span | undefined;
  readonly version: Span | undefined;
  readonly serial: Span;
  readonly issuer: Span;
  readonly validity: Span;
  readonly subject: Span;
  readonly key: Span;
  readonly extensions: Span | undefined;
}

/**
 * The fields of a certificate, each read at its first use, which throws InvalidArgs naming `what` when it is malformed;
 * so does the constructor unless there are all parts. OpenSSL, which takes longer than everything else, is used for the
 * key and for `x509` only.
 */
export class LazyCertificate implements Certificate {
  readonly der: Buffer;
  readonly #what: string;
  #parts: Parts | undefined;
  #spki: Span | undefined;
  #x509: X509Certificate | undefined;
  #validity: Validity | undefined;
  #subjectText: string | undefined;
  #issuerText: string | undefined;
  #serialNumber: string | undefined;
  #fingerprint: string | undefined;
  #alternativeNames: readonly string[] | undefined;
  #extensions: readonly Extension[] | undefined;
  #rights: ReturnType<typeof rightsOf> | undefined;
  #key: ReturnType<typeof keyOf> | undefined;

  constructor(der: Buffer, what: string, x509?: X509Certificate) {
    this.der = der;
    this.#what = what;
    this.#parts = partsOf(der, what);
    this.#x509 = x509;
  }

  /** Reads what is shown of a certificate; of many, only the offsets of the key are retained, for its lookup. */
  readShown(): this {
    void this.subjectText;
    void this.issuerText;
    this.#readValidity();
    void this.serialNumber;
    void this.alternativeNames;
    this.#spki = this.#located.key;
    this.#parts = undefined;
    return this;
  }

  get x509() {
    return (this.#x509 ??= parseX509(this.der, this.#what));
  }

  get version() {
    const { version } = this.#located;
    return version === undefined ? 1 : versionOf(this.#decode(version), this.#what);
  }

  get serialNumber() {
    return (this.#serialNumber ??= serialNumberOf(this.der, this.#located.serial));
  }

  get fingerprint() {
    return (this.#fingerprint ??= hash('sha256', this.der, 'hex'));
  }

  get notBefore() {
    return this.#readValidity().notBefore;
  }

  get notAfter() {
    return this.#readValidity().notAfter;
  }

  get subject() {
    return decodeName(this.#decode(this.#located.subject));
  }

  get subjectDer() {
    return encode(this.#decode(this.#located.subject));
  }

  get issuerDer() {
    return encode(this.#decode(this.#located.issuer));
  }

  get subjectText() {
    return (this.#subjectText ??= nameTextOf(this.der, this.#located.subject, this.#what));
  }

  get issuerText() {
    return (this.#issuerText ??= nameTextOf(this.der, this.#located.issuer, this.#what));
  }

  get publicKey() {
    return this.#readKey().publicKey;
  }

  get spki() {
    const { start, end } = this.#spki ?? this.#located.key;
    const bytes = this.der.subarray(start, end);
    // without OpenSSL where it would change nothing
    return isCanonical(bytes) ? bytes : this.#readKey().spki;
  }

  get signatureAlgorithm() {
    const { algorithm } = this.#located;
    return signatureAlgorithmName(algorithm && this.#decode(algorithm), this.#what);
  }

  get extensions() {
    const { extensions } = this.#located;
    this.#extensions ??= extensionsOf(extensions && this.#decode(extensions), this.#what);
    return this.#extensions;
  }

  get alternativeNames() {
    const { extensions } = this.#located;
    this.#alternativeNames ??= alternativeNamesOf(this.der, extensions);
    return this.#alternativeNames;
  }

  get basicConstraints() {
    return this.#readRights().basicConstraints;
  }

  get keyUsage() {
    return this.#readRights().keyUsage;
  }

  get extendedKeyUsage() {
    return this.#readRights().extendedKeyUsage;
  }

  get keyIdentifier() {
    return this.#readRights().subjectKeyId ?? keyIdentifier(this.spki);
  }

  get #located(): Parts {
    return (this.#parts ??= partsOf(this.der, this.#what));
  }

  #readValidity(): Validity {
    return (this.#validity ??= decodeValidity(this.der, this.#located.validity, this.#what));
  }

  #readRights() {
    return (this.#rights ??= rightsOf(this.extensions));
  }

  #readKey() {
    const spki = (): Buffer => encode(this.#decode(this.#located.key));
    return (this.#key ??= keyOf(this.x509, spki(), this.#what));
  }

  #decode(part: Span): Element {
    return decode(viewOf(this.der, part).bytes, this.#what, { ber: true });
  }
}

/** A certificate whose fields have all been read, or InvalidArgs. */
export function readFields(certificate: Certificate): Certificate {
  return {
    der: certificate.der,
    x509: certificate.x509,
    version: certificate.version,
    subject: certificate.subject,
    subjectDer: certificate.subjectDer,
    issuerDer: certificate.issuerDer,
    subjectText: certificate.subjectText,
    issuerText: certificate.issuerText,
    serialNumber: certificate.serialNumber,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    spki: certificate.spki,
    publicKey: certificate.publicKey,
    fingerprint: certificate.fingerprint,
    signatureAlgorithm: certificate.signatureAlgorithm,
    extensions: certificate.extensions,
    alternativeNames: certificate.alternativeNames,
    basicConstraints: certificate.basicConstraints,
    keyUsage: certificate.keyUsage,
    extendedKeyUsage: certificate.extendedKeyUsage,
    keyIdentifier: certificate.keyIdentifier,
  };
}

function parseX509(der: Buffer, what: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw new ServiceError('InvalidArgs', `${what} is not a certificate`, { cause: error });
  }
}

function partsOf(der: Buffer, what: string): Parts {
  // older CAs were less strict about DER, and signatures cover the bytes that node:crypto checks
  const whole = membersIn(der, spanAt(der, 0), what);
  const all = membersIn(der, whole[0], what);
  const at = all[0]?.tag === tags.context0 ? 1 : 0;
  // by index: a pattern costs an iterator, which counts for the certificates of a start
  const serial = all[at];
  const issuer = all[at + 2];
  const validity = all[at + 3];
  const subject = all[at + 4];
  const key = all[at + 5];
  if (
    serial === undefined ||
    issuer === undefined ||
    validity === undefined ||
    subject === undefined ||
    key === undefined
  ) {
    throw new ServiceError('InvalidArgs', `${what} lacks a part`);
  }
  const version = at === 0 ? undefined : all[0];
  const extensions = all.find((part, index) => index > at + 5 && part.tag === tags.context3);
  return { algorithm: whole[1], version, serial, issuer, validity, subject, key, extensions };
}

/** The members of a SEQUENCE. */
function membersIn(der: Buffer, element: Span | undefined, what: string): readonly Span[] {
  const members = element?.tag === tags.sequence ? spansIn(der, element) : undefined;
  if (members === undefined || members.length === 0) {
    throw new ServiceError('InvalidArgs', `${what} is malformed`);
  }
  return members;
}

function versionOf(tagged: Element, what: string): number {
  return smallIntegerOf(childrenOf(tagged, what)[0], what) + 1;
}

/** Two digits for each byte of the magnitude. */
function serialNumberOf(der: Buffer, { from, to }: Span): string {
  const hex = der.toString('hex', from, to);
  // a positive number, without the octets that only make it longer
  if (to > from && (der[from] ?? 0) < 0x80) return hex.replace(/^(?:00)+(?=..)/, '');
  const value = BigInt.asIntN((to - from) * 8, BigInt(`0x0${hex}`));
  const digits = (value < 0n ? -value : value).toString(16);
  return `${value < 0n ? '-' : ''}${digits.padStart(digits.length + (digits.length % 2), '0')}`;
}

function keyOf(
  x509: X509Certificate,
  spki: Buffer,
  what: string,
): Pick<Certificate, 'publicKey' | 'spki'> {
  const publicKey = publicKeyOf(x509);
  if (publicKey === undefined || isCanonical(spki)) return { publicKey, spki };
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

/** As the extension is found without decoding all of them. */
function alternativeNamesOf(der: Buffer, tagged: Span | undefined): readonly string[] {
  if (tagged === undefined || !der.includes(alternativeNameOid, tagged.from)) return none;
  const list = firstElement(viewOf(der, tagged).content);
  for (const { content } of list === undefined ? [] : elementsIn(list.content)) {
    if (!content.subarray(0, alternativeNameOid.length).equals(alternativeNameOid)) continue;
    const value = [...elementsIn(content)].at(-1)?.content;
    return value === undefined ? [] : listAlternativeNames({ value });
  }
  return [];
}

function extensionsOf(tagged: Element | undefined, what: string): readonly Extension[] {
  const [element] = tagged === undefined ? [] : childrenOf(tagged, what);
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
