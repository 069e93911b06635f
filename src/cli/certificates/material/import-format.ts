import { readCertificates } from '../../../x509/certificate.ts';
import { looksLikePem } from '../../../x509/pem.ts';
import { looksLikePkcs7 } from '../../../x509/pkcs7.ts';
import { looksLikePkcs12 } from '../../../x509/pkcs12/read.ts';

/**
 * The format of a file of certificates, as ImportCertificate names it, or PKCS#12. InvalidArgs for anything else, a
 * private key in another format among it: that must not leave this process.
 */
export function importFormat(data: Buffer, what: string): 'pem' | 'der' | 'pkcs7' | 'pkcs12' {
  if (looksLikePkcs12(data)) return 'pkcs12';
  readCertificates(data, what);
  if (looksLikePem(data)) return 'pem';
  return looksLikePkcs7(data) ? 'pkcs7' : 'der';
}
