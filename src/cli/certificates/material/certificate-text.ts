/** The content of certificates as texts, in the terms of `openssl x509 -text`. */
import { createHash } from 'node:crypto';
import { keyAlgorithmOf } from '../../../x509/algorithm.ts';
import { type Certificate, parseCertificatesPem } from '../../../x509/certificate.ts';
import { type Extension, extensionOids, readAuthorityKeyId } from '../../../x509/extensions.ts';

/** A certificate as texts; an absent part is ``. */
export interface CertificateText {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly version: string;
  readonly signatureAlgorithm: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly alternativeNames: string;
  readonly keyAlgorithm: string;
  /** SHA-256 of the SubjectPublicKeyInfo, which a request of the Keys service can be pinned to. */
  readonly keyDigest: string;
  readonly keyUsage: string;
  readonly extendedKeyUsage: string;
  readonly basicConstraints: string;
  readonly subjectKeyIdentifier: string;
  readonly authorityKeyIdentifier: string;
  readonly otherExtensions: string;
  /** SHA-256. */
  readonly fingerprint: string;
}

/** The certificates of a PEM text, in their order. */
export function certificateTexts(pem: string): readonly CertificateText[] {
  return parseCertificatesPem(Buffer.from(pem), 'the certificate').map(textOf);
}

function textOf(certificate: Certificate): CertificateText {
  const extension = (oid: string) => certificate.extensions.find((one) => one.oid === oid);
  const { keyUsage, extendedKeyUsage, alternativeNames, spki } = certificate;
  const own = extension(extensionOids.subjectKeyId);
  const marked = (oid: string, text: string) =>
    text !== '' && extension(oid)?.critical === true ? `${text} (critical)` : text;
  return {
    subject: certificate.subjectText,
    issuer: certificate.issuerText,
    serialNumber: certificate.serialNumber,
    version: String(certificate.version),
    signatureAlgorithm: certificate.signatureAlgorithm,
    notBefore: certificate.notBefore.getTime(),
    notAfter: certificate.notAfter.getTime(),
    alternativeNames: marked(extensionOids.subjectAlternativeName, alternativeNames.join(', ')),
    keyAlgorithm: keyText(certificate),
    keyDigest: createHash('sha256').update(spki).digest('hex'),
    keyUsage: marked(extensionOids.keyUsage, (keyUsage ?? []).join(', ')),
    extendedKeyUsage: marked(extensionOids.extendedKeyUsage, (extendedKeyUsage ?? []).join(', ')),
    basicConstraints: constraintsText(certificate),
    subjectKeyIdentifier: own === undefined ? '' : octets(certificate.keyIdentifier),
    authorityKeyIdentifier: authorityText(extension(extensionOids.authorityKeyId)),
    otherExtensions: othersText(certificate.extensions),
    fingerprint: octets(Buffer.from(certificate.fingerprint, 'hex')),
  };
}

function keyText({ publicKey }: Certificate): string {
  if (publicKey === undefined) return 'of a kind that OpenSSL does not support';
  try {
    return keyAlgorithmOf(publicKey);
  } catch {
    // none that certificates are issued for
    const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
    const size = namedCurve ?? (modulusLength === undefined ? '' : `${modulusLength} bits`);
    return `${publicKey.asymmetricKeyType ?? 'unknown'} ${size}`.trim();
  }
}

function constraintsText({ basicConstraints, extensions }: Certificate): string {
  const extension = extensions.find(({ oid }) => oid === extensionOids.basicConstraints);
  if (extension === undefined) return '';
  const { ca, pathLength } = basicConstraints;
  const length = pathLength === undefined ? '' : `, path length ${pathLength}`;
  return `${ca ? 'CA' : 'not a CA'}${length}${extension.critical ? ' (critical)' : ''}`;
}

function authorityText(extension: Extension | undefined): string {
  const identifier = extension === undefined ? undefined : readAuthorityKeyId(extension);
  return identifier === undefined ? '' : octets(identifier);
}

const names = new Map([
  ['2.5.29.18', 'issuerAltName'],
  ['2.5.29.30', 'nameConstraints'],
  ['2.5.29.31', 'cRLDistributionPoints'],
  ['2.5.29.32', 'certificatePolicies'],
  ['2.5.29.33', 'policyMappings'],
  ['2.5.29.36', 'policyConstraints'],
  ['2.5.29.46', 'freshestCRL'],
  ['2.5.29.54', 'inhibitAnyPolicy'],
  ['1.3.6.1.5.5.7.1.1', 'authorityInfoAccess'],
  ['1.3.6.1.5.5.7.1.24', 'tlsFeature'],
]);

function othersText(extensions: readonly Extension[]): string {
  const shown = new Set<string>(Object.values(extensionOids));
  return extensions
    .filter(({ oid }) => !shown.has(oid))
    .map(({ oid, critical }) => `${names.get(oid) ?? oid}${critical ? ' (critical)' : ''}`)
    .join(', ');
}

/** Octets as OpenSSL prints them: `0A:1B`. */
function octets(bytes: Buffer): string {
  return (bytes.toString('hex').toUpperCase().match(/../g) ?? []).join(':');
}
