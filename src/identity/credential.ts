import type { ServiceClient } from '../dbus/client.ts';
import type { Via } from '../dbus/via.ts';
import { ServiceError } from '../errors.ts';
import type { certificatesInterface } from '../interfaces/certificates.ts';
import { parseCertificatesPem } from '../x509/certificate.ts';
import { commonNameOf } from '../x509/name.ts';
import type { RemoteCredential } from './cloud.ts';

/** Where the device's certificate and key are. */
export interface CredentialSource {
  readonly certificates: ServiceClient<typeof certificatesInterface>;
  readonly certificateId: string;
  /** The first key; a rotated certificate names its own. */
  readonly keyId: string;
  readonly now: () => Date;
}

/** The device's client certificate; Unavailable when the clock is outside its validity. */
export async function readCredential(
  source: CredentialSource,
  via: Via,
): Promise<RemoteCredential & { readonly commonName: string | undefined }> {
  const { certificates, certificateId, keyId, now } = source;
  const { certificate } = await certificates.GetCertificate({ certificate_id: certificateId }, via);
  const [leaf] = parseCertificatesPem(Buffer.from(certificate.chain_pem), certificateId);
  if (leaf === undefined) throw new ServiceError('NotFound', `no certificate "${certificateId}"`);
  const time = now();
  if (time < leaf.notBefore) {
    throw outside(certificateId, `is not valid before ${leaf.notBefore.toISOString()}`, time);
  }
  if (time > leaf.notAfter) {
    throw outside(certificateId, `expired at ${leaf.notAfter.toISOString()}`, time);
  }
  return {
    chainPem: certificate.chain_pem,
    keyId: certificate.key_id || keyId,
    spki: leaf.spki,
    commonName: commonNameOf(leaf.subject),
  };
}

function outside(certificateId: string, what: string, now: Date): ServiceError {
  return new ServiceError(
    'Unavailable',
    `certificate "${certificateId}" ${what}, and this clock says ${now.toISOString()}: replace the certificate or set the clock`,
  );
}
