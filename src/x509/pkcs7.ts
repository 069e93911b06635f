/** PKCS#7 SignedData that carries certificates (RFC 5652, RFC 7030 4.1.3), and Netscape's sequence of certificates. */
import { ServiceError } from '../errors.ts';
import { context, encode, integer, oid, raw, sequence, set } from './der/asn1.ts';
import { elementsIn, firstElement, isPadding, type Tlv, tags } from './der/tlv.ts';

const dataOid = '1.2.840.113549.1.7.1';
const signedDataOid = '1.2.840.113549.1.7.2';
const signedData = encode(oid(signedDataOid));
const certificateSequence = encode(oid('2.16.840.1.113730.2.5'));
const maxCertificates = 512;

/** The DER of a certs-only SignedData, certificates in their order. */
export function encodePkcs7(certificates: readonly { readonly der: Buffer }[]): Buffer {
  const content = sequence(
    integer(1),
    set(),
    sequence(oid(dataOid)),
    context(
      0,
      certificates.map(({ der }) => raw(der)),
    ),
    set(),
  );
  return encode(sequence(oid(signedDataOid), context(0, [content])));
}

/** Whether bytes are PKCS#7 content of some type rather than a certificate. */
export function looksLikePkcs7(bytes: Buffer): boolean {
  const whole = firstElement(bytes);
  return whole?.tag === tags.sequence && firstElement(whole.content)?.tag === tags.oid;
}

/**
 * The certificates of a SignedData in DER or BER, byte for byte and in their order; signatures, content and CRLs are
 * ignored. InvalidArgs when it is something else, is incomplete or holds no certificate.
 */
export function certificatesInPkcs7(bytes: Buffer, what: string): readonly Buffer[] {
  const whole = firstElement(bytes);
  const isWhole = bytes.subarray(whole?.bytes.length).every(isPadding);
  const [type, content] = whole !== undefined && isWhole ? membersOf(whole) : [];
  const [inner] = content?.tag === tags.context0 ? membersOf(content) : [];
  const certificates = setOf(type, inner)?.filter(({ tag }) => tag === tags.sequence);
  if (certificates === undefined) {
    throw new ServiceError('InvalidArgs', `${what} is not PKCS#7 signed data`);
  }
  if (certificates.length === 0) {
    throw new ServiceError('InvalidArgs', `${what} holds no certificates`);
  }
  if (certificates.length > maxCertificates) {
    throw new ServiceError(
      'InvalidArgs',
      `${what} holds more than ${maxCertificates} certificates`,
    );
  }
  return certificates.map(({ bytes: der }) => der);
}

/** The elements that include the certificates; undefined for other types of content. */
function setOf(type: Tlv | undefined, inner: Tlv | undefined): readonly Tlv[] | undefined {
  if (type === undefined || inner === undefined) return undefined;
  if (type.bytes.equals(certificateSequence)) return membersOf(inner);
  if (!type.bytes.equals(signedData)) return undefined;
  const fields = membersOf(inner);
  // also without certificates there are a version, algorithms and content
  if (fields.length < 3) return undefined;
  const certificates = fields.find(({ tag }) => tag === tags.context0);
  return certificates === undefined ? [] : membersOf(certificates);
}

/** The members of a constructed element; none when one of them is incomplete. */
function membersOf({ tag, content }: Tlv): readonly Tlv[] {
  if ((tag & 0x20) === 0) return [];
  const members = [...elementsIn(content)];
  const length = members.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return length === content.length ? members : [];
}
