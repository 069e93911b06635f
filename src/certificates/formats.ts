/** Formats of imported and exported certificates. */
import { notOneOf, ServiceError } from '../errors.ts';
import { certificateFormats } from '../interfaces/enumerations.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificate,
  parseCertificatesPem,
  parsePkcs7,
} from '../x509/certificate.ts';
import { arrange } from '../x509/chain.ts';
import { looksLikePem } from '../x509/pem.ts';
import { encodePkcs7 } from '../x509/pkcs7.ts';

/** Parses certificates, leaf first; InvalidArgs when the data contains anything else. */
export function readFormat(data: Buffer, format: string): readonly Certificate[] {
  const what = 'the data';
  switch (format) {
    case 'pem':
      if (!looksLikePem(data)) throw new ServiceError('InvalidArgs', `${what} is not PEM`);
      return arrange(parseCertificatesPem(data, what));
    case 'der':
      if (looksLikePem(data)) throw new ServiceError('InvalidArgs', `${what} is PEM, not DER`);
      return [parseCertificate(data, what)];
    case 'pkcs7':
      return arrange(parsePkcs7(data, what));
    default:
      return unknown(format);
  }
}

/** Encodes a chain; `der` holds the first certificate only. */
export function writeFormat(chain: readonly Certificate[], format: string): Buffer {
  switch (format) {
    case 'pem':
      return Buffer.from(encodeCertificatesPem(chain));
    case 'der':
      return chain[0]?.der ?? Buffer.alloc(0);
    case 'pkcs7':
      return encodePkcs7(chain);
    default:
      return unknown(format);
  }
}

function unknown(format: string): never {
  throw notOneOf(format, 'a format', certificateFormats);
}
