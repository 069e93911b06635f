import { type KeyObject, sign } from 'node:crypto';
import { localSigner, type Signer, spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import { type Extension, keyIdentifier } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';

/** The content of a certificate in tests. */
export interface TestCertificate {
  readonly name: string;
  readonly key: KeyObject;
  /** Its issuer, itself when absent. */
  readonly by?: { readonly certificate: Certificate; readonly key: KeyObject } | undefined;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Extension[];
}

/** A certificate with exactly this content. */
export async function issue({
  name,
  key,
  by,
  notBefore,
  notAfter,
  extensions,
}: TestCertificate): Promise<Certificate> {
  const subjectDer = encodeName(parseName(name));
  const spki = spkiOf(key);
  const own = { subjectDer, keyIdentifier: keyIdentifier(spki) };
  const der = await buildCertificate(
    { subjectDer, spki, validity: { notBefore, notAfter }, extensions },
    by?.certificate ?? own,
    signerWith(by?.key ?? key),
  );
  return parseCertificate(der, name);
}

/** Also with RSA keys that the product does not sign with. */
function signerWith(key: KeyObject): Signer {
  if (key.asymmetricKeyType !== 'rsa') return localSigner(key);
  return {
    algorithm: 'rsa-pkcs1-sha256',
    sign: (message) => Promise.resolve(sign('sha256', message, key)),
  };
}
