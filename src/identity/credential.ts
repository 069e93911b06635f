import { X509Certificate } from 'node:crypto';
import type { Client } from '../dbus/client.ts';
import { ServiceError } from '../errors.ts';
import type { certificatesInterface } from '../interfaces/certificates.ts';
import type { RemoteCredential } from './cloud.ts';

/** Where the device's certificate and key are. */
export interface CredentialSource {
  readonly certificates: Client<typeof certificatesInterface>;
  readonly certificateId: string;
  /** The first key; a rotated certificate names its own. */
  readonly keyId: string;
  readonly now: () => Date;
}

/** The device's client certificate; Unavailable when the clock is outside its validity. */
export async function readCredential(
  source: CredentialSource,
  signal: AbortSignal,
): Promise<RemoteCredential & { readonly commonName: string | undefined }> {
  const { certificates, certificateId, keyId, now } = source;
  const { certificate } = await certificates.Get({ certificate_id: certificateId }, { signal });
  const leaf = new X509Certificate(certificate.chain_pem);
  const time = now().getTime();
  if (time < Date.parse(leaf.validFrom)) {
    throw outside(certificateId, `is not valid before ${leaf.validFrom}`, now());
  }
  if (time > Date.parse(leaf.validTo)) {
    throw outside(certificateId, `expired at ${leaf.validTo}`, now());
  }
  return {
    chainPem: certificate.chain_pem,
    keyId: certificate.key_id || keyId,
    spki: leaf.publicKey.export({ type: 'spki', format: 'der' }),
    commonName: /^CN=(.+)$/m.exec(leaf.subject)?.[1],
  };
}

function outside(certificateId: string, what: string, now: Date): ServiceError {
  return new ServiceError(
    'Unavailable',
    `certificate "${certificateId}" ${what}, and this clock says ${now.toISOString()}`,
  );
}
