import { createPrivateKey, type KeyObject } from 'node:crypto';
import { ServiceError } from '../../../errors.ts';
import {
  encodeCertificatesPem,
  parseCertificate,
  parseCertificatesPem,
} from '../../../x509/certificate.ts';
import { orderChain } from '../../../x509/chain.ts';
import { type Pkcs12Content, readPkcs12 } from '../../../x509/pkcs12/read.ts';
import { writePkcs12 } from '../../../x509/pkcs12/write.ts';

/** A private key, and the certificates that belong to it. */
export interface KeyWithChain extends Disposable {
  /** PKCS#8 in DER, wiped by the disposal. */
  readonly key: Buffer;
  /** The certificate of the key, then those of its issuers. */
  readonly chainPem: string;
  /** Of the key's certificate: SHA-256, lower-case hex. */
  readonly fingerprint: string;
}

/**
 * The one key of a PKCS#12 file with its certificates; InvalidArgs for a wrong password, and for a file that has not
 * exactly one key with its chain.
 */
export function keyWithChainIn(data: Buffer, password: Buffer, what: string): KeyWithChain {
  const content = readPkcs12(data, password, what);
  try {
    return keyWithChainOf(content, what);
  } catch (error) {
    content[Symbol.dispose]();
    throw error;
  }
}

function keyWithChainOf(content: Pkcs12Content, what: string): KeyWithChain {
  const refuse = (why: string): never => {
    throw new ServiceError('InvalidArgs', `${what} holds ${why}`);
  };
  const [key = refuse('no private key: certificates alone are imported as PEM, DER or PKCS#7')] =
    content.keys;
  if (content.keys.length > 1) {
    refuse(`${content.keys.length} private keys, of which one at a time is imported`);
  }
  const certificates = content.certificates.map((der, at) =>
    parseCertificate(der, `certificate ${at + 1} in ${what}`),
  );
  if (certificates.length === 0) refuse('no certificate');
  const [leaf, ...others] =
    orderChain(certificates) ?? refuse('certificates that are not one chain');
  const object = parseKey(key) ?? refuse('a private key of a kind that is not supported');
  if (leaf === undefined || !leaf.x509.checkPrivateKey(object)) {
    return refuse(`a private key that is not that of ${leaf?.subjectText ?? 'a certificate'}`);
  }
  return {
    key,
    chainPem: encodeCertificatesPem([leaf, ...others]),
    fingerprint: leaf.fingerprint,
    [Symbol.dispose]: () => content[Symbol.dispose](),
  };
}

/** A key with its chain in PEM as PKCS#12; Failed when they do not belong together. */
export function pkcs12Of(
  {
    key,
    chainPem,
    name,
  }: { readonly key: Buffer; readonly chainPem: string; readonly name: string },
  password: Buffer,
): Buffer {
  const [leaf, ...others] = parseCertificatesPem(Buffer.from(chainPem), 'the certificate');
  const object = parseKey(key);
  if (leaf === undefined || object === undefined || !leaf.x509.checkPrivateKey(object)) {
    throw new ServiceError('Failed', 'the key is not that of the certificate');
  }
  const certificates = [leaf.der, ...others.map(({ der }) => der)] as const;
  return writePkcs12({ key, certificates, name }, password);
}

function parseKey(der: Buffer): KeyObject | undefined {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch {
    // OpenSSL's message may quote the key
    return undefined;
  }
}
