import type { ServiceClient } from '../../dbus/client/client.ts';
import type { Via } from '../../dbus/client/via.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { certificatesInterface } from '../../interfaces/certificates.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../x509/certificate.ts';
import { orderChain } from '../../x509/chain.ts';
import { commonNameOf } from '../../x509/name.ts';
import type { DpsSettings } from '../config/config.ts';
import type { NamedCertificates } from './certificate-file.ts';
import type { RemoteCredential } from './cloud.ts';

/** The location of the device's certificate and key. */
export interface CredentialSource {
  readonly certificates: ServiceClient<typeof certificatesInterface>;
  readonly files: NamedCertificates;
  /** The certificate, and its initial key; a rotated certificate names its own. */
  readonly dps: Pick<DpsSettings, 'certificateId' | 'certificateFile' | 'keyId'>;
  readonly now: () => Date;
}

/** The current certificate of the device, leaf first. */
interface DeviceCertificate {
  readonly name: string;
  readonly chain: readonly Certificate[];
  readonly chainPem: string;
  readonly keyId: string;
}

/** The device's client certificate; Unavailable when its file is unreadable or the clock is outside its validity. */
export async function readCredential(
  source: CredentialSource,
  via: Via,
): Promise<RemoteCredential & { readonly commonName: string | undefined }> {
  const { certificateFile, certificateId = '' } = source.dps;
  const { name, chain, chainPem, keyId } =
    certificateFile === undefined
      ? await fromService(source, certificateId, via)
      : await fromFile(source, certificateFile);
  const [leaf] = chain;
  if (leaf === undefined) throw new ServiceError('NotFound', `no ${name}`);
  const time = source.now();
  if (time < leaf.notBefore) {
    throw outside(name, `is not valid before ${leaf.notBefore.toISOString()}`, time);
  }
  if (time > leaf.notAfter) {
    throw outside(name, `expired at ${leaf.notAfter.toISOString()}`, time);
  }
  return { chainPem, keyId, spki: leaf.spki, commonName: commonNameOf(leaf.subject) };
}

async function fromService(
  { certificates, dps: { keyId } }: CredentialSource,
  certificateId: string,
  via: Via,
): Promise<DeviceCertificate> {
  const { certificate } = await certificates.GetCertificate({ certificate_id: certificateId }, via);
  const chain = parseCertificatesPem(Buffer.from(certificate.chain_pem), certificateId);
  return {
    name: certificateName({ certificateId }),
    chain,
    chainPem: certificate.chain_pem,
    keyId: certificate.key_id || keyId,
  };
}

async function fromFile(
  { files, dps }: CredentialSource,
  path: string,
): Promise<DeviceCertificate> {
  try {
    const found = await files.read(path);
    const chain = orderChain(found) ?? found;
    const name = certificateName(dps);
    return { name, chain, chainPem: encodeCertificatesPem(chain), keyId: dps.keyId };
  } catch (error) {
    const message = `provisioning.attestation.identity_cert: ${describeError(error)}`;
    throw new ServiceError('Unavailable', message);
  }
}

/** The device's certificate in messages. */
export function certificateName({
  certificateId = '',
  certificateFile,
}: Partial<Pick<DpsSettings, 'certificateId' | 'certificateFile'>>): string {
  return certificateFile === undefined
    ? `certificate "${certificateId}"`
    : `certificate ${certificateFile}`;
}

function outside(name: string, what: string, now: Date): ServiceError {
  return new ServiceError(
    'Unavailable',
    `${name} ${what}, and this clock says ${now.toISOString()}: replace the certificate or set the clock`,
  );
}
