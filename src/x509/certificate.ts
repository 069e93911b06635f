import { type KeyObject, X509Certificate } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { type Certificate, LazyCertificate, readFields } from './certificate-fields.ts';
import { firstElement, isPadding } from './der/tlv.ts';
import {
  decodeEncodedPem,
  encodePem,
  looksLikePem,
  type PemBlock,
  parsePem,
  pemLabels,
  trustedCertificateLabel,
} from './pem.ts';
import { certificatesInPkcs7, looksLikePkcs7 } from './pkcs7.ts';

export type { Certificate } from './certificate-fields.ts';

/** More bits than any CA uses. */
const maxModulus = 8192;
const maxExponent = 1n << 32n;
const sequenceTag = 0x30;

/** Parses one certificate in DER; InvalidArgs naming `what`. */
export function parseCertificate(der: Uint8Array, what: string): Certificate {
  const bytes = Buffer.from(der);
  try {
    // OpenSSL reads the first certificate and ignores the bytes after it
    const length = firstElement(bytes)?.bytes.length;
    if (length === undefined) throw new ServiceError('InvalidArgs', 'it is not whole');
    if (!bytes.subarray(length).every(isPadding)) {
      throw new ServiceError('InvalidArgs', 'bytes come behind it');
    }
    const x509 = new X509Certificate(bytes);
    return readFields(new LazyCertificate(x509.raw, what, x509));
  } catch (error) {
    const why = error instanceof ServiceError ? `: ${error.message}` : '';
    throw new ServiceError('InvalidArgs', `${what} is not a certificate${why}`, { cause: error });
  }
}

/**
 * All certificates of a file or of an argument, in order: PEM, also with PKCS#7, as `parsePem` accepts it, or DER of a
 * certificate or of PKCS#7. InvalidArgs, naming `what` and the block, when one is unreadable or there is none.
 */
export function readCertificates(bytes: Uint8Array, what: string): readonly Certificate[] {
  if (bytes.length === 0) throw new ServiceError('InvalidArgs', `${what} is empty`);
  if (looksLikePem(bytes)) return parseCertificatesPem(bytes, what);
  const der = Buffer.from(bytes);
  // text, too, may look like an element of some other type
  if (der[0] !== sequenceTag || firstElement(der) === undefined) {
    throw new ServiceError('InvalidArgs', `${what} is neither PEM nor whole DER`);
  }
  return looksLikePkcs7(der) ? parsePkcs7(der, what) : [parseCertificate(der, what)];
}

/** All certificates of a PEM file, in order; InvalidArgs when there is none or one is unreadable. */
export function parseCertificatesPem(bytes: Uint8Array, what: string): readonly Certificate[] {
  const blocks = parsePem(bytes, [...pemLabels.certificate, ...pemLabels.pkcs7], what);
  if (blocks.length === 0) throw new ServiceError('InvalidArgs', `${what} holds no certificate`);
  return blocks.flatMap(certificatesIn);
}

/** The certificates of PKCS#7 signed data in DER or PEM, in their order; InvalidArgs when there is none. */
export function parsePkcs7(bytes: Uint8Array, what: string): readonly Certificate[] {
  // CAs on Windows use the label of a certificate
  const labels = [...pemLabels.pkcs7, 'CERTIFICATE'];
  const parts = looksLikePem(bytes)
    ? parsePem(bytes, labels, what)
    : [{ der: Buffer.from(bytes), where: what }];
  if (parts.length === 0) {
    throw new ServiceError('InvalidArgs', `${what} holds no PEM block ${pemLabels.pkcs7[0]}`);
  }
  return parts.flatMap(({ der, where }) =>
    certificatesInPkcs7(der, where).map((one, at) =>
      parseCertificate(one, `certificate ${at + 1} in ${where}`),
    ),
  );
}

/**
 * The certificates that `encodeCertificatesPem` encoded, which were parsed completely before: of their fields those are
 * read that are shown, and the others at their first use, which throws when they are malformed. Any other text is
 * parsed completely.
 */
export function reopenCertificatesPem(pem: string, what: string): readonly Certificate[] {
  const encoded = decodeEncodedPem(pem, pemLabels.certificate[0]);
  if (encoded === undefined) return parseCertificatesPem(Buffer.from(pem), what);
  return encoded.map((der) => new LazyCertificate(der, what).readShown());
}

/** Certificates as PEM, in their order. */
export function encodeCertificatesPem(certificates: readonly { readonly der: Buffer }[]): string {
  return certificates.map(({ der }) => encodePem(der, pemLabels.certificate[0])).join('');
}

/**
 * Whether a certificate may sign others: a CA whose key may sign certificates, or a root of version 1, which cannot
 * state that.
 */
export function isCa(certificate: Certificate): boolean {
  const { basicConstraints, keyUsage, version } = certificate;
  if (version === 1) return isSelfSigned(certificate);
  return basicConstraints.ca && keyUsage?.includes('keyCertSign') !== false;
}

/** Whether a certificate names another as its issuer and carries its signature. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    issuer.publicKey !== undefined &&
    certificate.issuerDer.equals(issuer.subjectDer) &&
    isQuick(issuer.publicKey) &&
    certificate.x509.verify(issuer.publicKey)
  );
}

/** Whether a certificate is signed with its own key. */
export function isSelfSigned(certificate: Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

/** Whether a certificate names itself as its issuer, as roots and renewed CAs do. */
export function isSelfIssued({ subjectDer, issuerDer }: Certificate): boolean {
  return subjectDer.equals(issuerDer);
}

/** Whether a key verifies signatures within milliseconds: callers choose the keys of the certificates they import. */
function isQuick({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  return modulusLength <= maxModulus && publicExponent < maxExponent;
}

function certificatesIn({ label, der, where }: PemBlock): readonly Certificate[] {
  if (looksLikePkcs7(der)) return parsePkcs7(der, where);
  const own = label === trustedCertificateLabel ? firstElement(der)?.bytes : undefined;
  return [parseCertificate(own ?? der, where)];
}
