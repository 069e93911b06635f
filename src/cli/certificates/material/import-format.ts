import { describeError, ServiceError } from '../../../errors.ts';
import { readCertificates } from '../../../x509/certificate.ts';
import { looksLikePem } from '../../../x509/pem.ts';
import { looksLikePkcs7 } from '../../../x509/pkcs7.ts';
import { looksLikePkcs12 } from '../../../x509/pkcs12/read.ts';

const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;

/**
 * The format of a file of certificates, as ImportCertificate names it, or PKCS#12. InvalidArgs for anything else, a
 * private key in another format among it: that must not leave this process.
 */
export function importFormat(data: Buffer, what: string): 'pem' | 'der' | 'pkcs7' | 'pkcs12' {
  if (looksLikePkcs12(data)) return 'pkcs12';
  if (looksLikePem(data)) return certificatesPem(data, what);
  readCertificates(data, what);
  return looksLikePkcs7(data) ? 'pkcs7' : 'der';
}

function certificatesPem(data: Buffer, what: string): 'pem' {
  try {
    readCertificates(data, what);
    return 'pem';
  } catch (error) {
    if (!privateKey.test(data.toString('latin1'))) throw error;
    const way = "a key is imported with its certificate, as PKCS#12: 'openssl pkcs12 -export'";
    throw new ServiceError('InvalidArgs', `${describeError(error)}; ${way}`, { cause: error });
  }
}
