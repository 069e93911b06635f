/** PKCS#7 SignedData that carries certificates and nothing else (RFC 5652, RFC 7030 4.1.3). */
import { ServiceError } from '../errors.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { context, decode, encode, integer, oid, raw, sequence, set } from './der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from './der/read.ts';
import { looksLikePem, parseOnePem } from './pem.ts';

const dataOid = '1.2.840.113549.1.7.1';
const signedDataOid = '1.2.840.113549.1.7.2';
const pemLabels = ['PKCS7', 'CMS'];
const maxCertificates = 512;

/** The DER of a certs-only SignedData, certificates in their order. */
export function encodePkcs7(certificates: readonly { readonly der: Buffer }[]): Buffer {
  const signedData = sequence(
    integer(1),
    set(),
    sequence(oid(dataOid)),
    context(
      0,
      certificates.map(({ der }) => raw(der)),
    ),
    set(),
  );
  return encode(sequence(oid(signedDataOid), context(0, [signedData])));
}

/** The certificates of a SignedData in DER or PEM, in their order; InvalidArgs when there is none. */
export function parsePkcs7(bytes: Uint8Array, what: string): readonly Certificate[] {
  const der = looksLikePem(bytes) ? parseOnePem(bytes, pemLabels, what) : bytes;
  const [type, content] = membersOf(decode(der, what, { ber: true }), 'sequence', what);
  if (oidOf(type, what) !== signedDataOid || !isContext(content, 0)) {
    throw new ServiceError('InvalidArgs', `${what} is not PKCS#7 signed data`);
  }
  const fields = membersOf(childrenOf(content, what)[0], 'sequence', what);
  const set = fields.find((field) => isContext(field, 0));
  const certificates = set === undefined ? [] : childrenOf(set, what);
  if (certificates.length === 0 || certificates.length > maxCertificates) {
    throw new ServiceError('InvalidArgs', `${what} holds no certificates, or too many`);
  }
  return certificates.map((element) => parseCertificate(encode(element), what));
}
