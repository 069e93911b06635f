import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { basicConstraints, keyIdentifier, keyUsage } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';

/** A CA with its key. */
export interface Ca {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

interface CaOptions {
  readonly key?: KeyObject;
  /** Itself when absent. */
  readonly issuer?: Ca;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly isCa?: boolean;
}

/** Read from PEM: the export of a key that was generated here can deadlock with the garbage collector of Node 20. */
export function newKey(): KeyObject {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return createPrivateKey(privateKey);
}

/** A certificate of a CA, self-signed or issued by another. */
export async function makeCa(name: string, options: CaOptions = {}): Promise<Ca> {
  const { key = newKey(), issuer, isCa = true } = options;
  const {
    notBefore = new Date('2026-01-01T00:00:00Z'),
    notAfter = new Date('2046-01-01T00:00:00Z'),
  } = options;
  const subjectDer = encodeName(parseName(`CN=${name}`));
  const spki = spkiOf(key);
  const extensions = [basicConstraints({ ca: isCa }), keyUsage(['keyCertSign'])];
  const own = { subjectDer, keyIdentifier: keyIdentifier(spki) };
  const der = await buildCertificate(
    { subjectDer, spki, validity: { notBefore, notAfter }, extensions },
    issuer?.certificate ?? own,
    localSigner(issuer?.key ?? key),
  );
  return { key, certificate: parseCertificate(der, name) };
}
