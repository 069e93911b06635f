import type { Certificate } from '../../../x509/certificate.ts';
import { requestInfoParts } from '../../../x509/csr.ts';
import { encode } from '../../../x509/der/asn1.ts';
import { type Extension, extensionOids } from '../../../x509/extensions.ts';
import { extensionsIn } from './request-extensions.ts';

/**
 * Whether a request, signed or not, has the subject and the alternative names of a certificate, octet for octet: servers compare them
 * so for simplereenroll (RFC 7030 4.2.2).
 */
export function isSameRequest(request: Buffer, { subjectDer, extensions }: Certificate): boolean {
  const [, subject] = requestInfoParts(request);
  if (subject === undefined || !encode(subject).equals(subjectDer)) return false;
  const names = namesIn(extensions);
  const requested = namesIn(extensionsIn(request));
  return names === undefined ? requested === undefined : requested?.equals(names) === true;
}

function namesIn(extensions: readonly Extension[]): Buffer | undefined {
  return extensions.find(({ oid }) => oid === extensionOids.subjectAlternativeName)?.value;
}
