import { randomBytes } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { encodeAlgorithm, type Signer } from './algorithm.ts';
import type { Certificate } from './certificate.ts';
import { bitString, context, encode, integer, raw, sequence, time } from './der/asn1.ts';
import {
  authorityKeyId,
  type Extension,
  encodeExtensions,
  keyIdentifier,
  subjectKeyId,
} from './extensions.ts';
import type { Validity } from './validity.ts';

/** The issuer: its name as encoded in the CA certificate, and the identifier of its key. */
export interface IssuerName {
  readonly subjectDer: Buffer;
  readonly keyIdentifier: Buffer;
}

/** The content of a certificate; key identifiers and the serial number are added. */
export interface CertificateContent {
  /** DER of the name. */
  readonly subjectDer: Buffer;
  readonly spki: Buffer;
  readonly validity: Validity;
  readonly extensions: readonly Extension[];
}

const clockSkewMs = 5 * 60_000;

/** Builds and signs a v3 certificate, in DER. */
export async function buildCertificate(
  content: CertificateContent,
  issuer: IssuerName,
  signer: Signer,
): Promise<Buffer> {
  const { subjectDer, spki, validity, extensions } = content;
  const all = [
    ...extensions,
    subjectKeyId(keyIdentifier(spki)),
    authorityKeyId(issuer.keyIdentifier),
  ];
  const unsigned = sequence(
    context(0, [integer(2)]),
    integer(serialNumber()),
    encodeAlgorithm(signer.algorithm),
    raw(issuer.subjectDer),
    sequence(time(validity.notBefore), time(validity.notAfter)),
    raw(subjectDer),
    raw(spki),
    context(3, [encodeExtensions(all)]),
  );
  const signature = await signer.sign(encode(unsigned));
  return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), bitString(signature)));
}

/**
 * The validity of a certificate issued now: from five minutes ago, for clocks that run behind, and within the validity
 * of its issuer. Unavailable when the issuer itself is not valid now.
 */
export function validityWithin(
  issuer: Pick<Certificate, 'notBefore' | 'notAfter'>,
  { now, lifetimeMs }: { readonly now: Date; readonly lifetimeMs: number },
): Validity {
  if (now < issuer.notBefore || now >= issuer.notAfter) {
    throw new ServiceError('Unavailable', 'the certificate of the issuer is not valid now');
  }
  const notBefore = Math.max(now.getTime() - clockSkewMs, issuer.notBefore.getTime());
  const notAfter = Math.min(now.getTime() + lifetimeMs, issuer.notAfter.getTime());
  return { notBefore: wholeSecond(notBefore), notAfter: wholeSecond(notAfter) };
}

function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

/**
 * 128 random bits with the sign cleared (RFC 5280 4.1.2.2: positive, at most 20 octets); never zero, and unique in
 * practice.
 */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0);
  return bytes.some((byte) => byte !== 0) ? bytes : serialNumber();
}
