import type { Certificate } from '../../x509/certificate.ts';
import { encode } from '../../x509/der/asn1.ts';
import { type Extension, extensionOids } from '../../x509/extensions.ts';
import { extensionsIn, requestParts } from './request-extensions.ts';

/**
 * Whether a request has the subject and the alternative names of a certificate, octet for octet: servers compare them
 * so for simplereenroll (RFC 7030 4.2.2).
 */
export function isSameRequest(csr: Buffer, { subjectDer, extensions }: Certificate): boolean {
  const [, subject] = requestParts(csr);
  if (subject === undefined || !encode(subject).equals(subjectDer)) return false;
  const names = namesIn(extensions);
  const requested = namesIn(extensionsIn(csr));
  return names === undefined ? requested === undefined : requested?.equals(names) === true;
}

function namesIn(extensions: readonly Extension[]): Buffer | undefined {
  return extensions.find(({ oid }) => oid === extensionOids.subjectAlternativeName)?.value;
}
