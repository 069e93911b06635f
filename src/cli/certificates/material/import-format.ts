import { readCertificates } from '../../../x509/certificate.ts';
import { looksLikePem } from '../../../x509/pem.ts';
import { looksLikePkcs7 } from '../../../x509/pkcs7.ts';

/**
 * The format of a file of certificates, as ImportCertificate names it. InvalidArgs for anything else, a private key
 * among it: that must not leave this process.
 */
export function importFormat(data: Uint8Array, file: string): 'pem' | 'der' | 'pkcs7' {
  readCertificates(data, file === '-' ? 'standard input' : file);
  if (looksLikePem(data)) return 'pem';
  return looksLikePkcs7(Buffer.from(data)) ? 'pkcs7' : 'der';
}
