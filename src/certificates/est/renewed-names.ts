import type { Certificate } from '../../x509/certificate.ts';
import { decode, type Element, encode } from '../../x509/der/asn1.ts';
import { childrenOf, isContext, membersOf, oidOf } from '../../x509/der/read.ts';
import { decodeExtensions, extensionOids } from '../../x509/extensions.ts';

const what = 'the CSR';
const extensionRequest = '1.2.840.113549.1.9.14';

/**
 * Whether a request has the subject and the alternative names of a certificate, octet for octet: servers compare them
 * so for simplereenroll (RFC 7030 4.2.2).
 */
export function isSameRequest(csr: Buffer, certificate: Certificate): boolean {
  const [unsigned] = membersOf(decode(csr, what), 'sequence', what);
  const [, subject, , attributes] = membersOf(unsigned, 'sequence', what);
  if (subject === undefined || !encode(subject).equals(certificate.subjectDer)) return false;
  const names = certificate.extensions.find(
    ({ oid }) => oid === extensionOids.subjectAlternativeName,
  );
  const requested = alternativeNamesIn(attributes);
  return names === undefined ? requested === undefined : requested?.equals(names.value) === true;
}

/** The DER of the extension that asks for alternative names. */
function alternativeNamesIn(attributes: Element | undefined): Buffer | undefined {
  if (!isContext(attributes, 0)) return undefined;
  return childrenOf(attributes, what)
    .map((attribute) => membersOf(attribute, 'sequence', what))
    .filter(([type]) => oidOf(type, what) === extensionRequest)
    .flatMap(([, values]) => membersOf(values, 'set', what))
    .flatMap(decodeExtensions)
    .find(({ oid }) => oid === extensionOids.subjectAlternativeName)?.value;
}
