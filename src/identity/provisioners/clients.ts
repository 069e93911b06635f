import type { ServiceClient } from '../../dbus/client/client.ts';
import type { certificatesInterface } from '../../interfaces/certificates.ts';
import type { keysInterface } from '../../interfaces/keys.ts';

/** What provisioning calls in the Keys service. */
export type KeysClient = Pick<
  ServiceClient<typeof keysInterface>,
  'CreateKeyPair' | 'GetPublicKey' | 'Sign'
>;

/** What provisioning calls in the Certificates service. */
export type CertificatesClient = Pick<
  ServiceClient<typeof certificatesInterface>,
  'ImportCertificate'
>;
