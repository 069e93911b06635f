import type { Handlers, Resolvers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/server/call.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { nameParsers } from '../ids.ts';
import type { certificatesInterface, certificatesService } from '../interfaces/certificates.ts';
import type { CertificateService } from './service.ts';

type Manager = typeof certificatesInterface;

/** The parts of the handlers besides the service. */
export interface CertificatesHandlersOptions {
  readonly objects: Pick<ObjectManager<typeof certificatesService>, 'pathOf'>;
}

/** The methods of the manager. */
export function certificatesHandlers(
  service: CertificateService,
  { objects }: CertificatesHandlersOptions,
): Omit<Handlers<Manager, CallContext, typeof nameParsers>, 'Describe'> {
  return {
    async Issue({ certificate_id, csr, options }, via) {
      return { chain_pem: await service.issue(certificate_id, csr, { ...options, via }) };
    },
    async GetCertificate({ certificate_id }, via) {
      return { certificate: await service.get(certificate_id, via) };
    },
    async ImportCertificate({ certificate_id, data, format, options }, via) {
      const { key_id: keyId, if_exists: ifExists } = options;
      await service.import(certificate_id, { data, format }, { keyId, ifExists, via });
      return { certificate: objects.pathOf(certificate_id) };
    },
    async ExportCertificate({ certificate_id, format }) {
      return { data: await service.export(certificate_id, format) };
    },
    async DeleteCertificate({ certificate_id }) {
      await service.delete(certificate_id);
      return {};
    },
    async GetTrustBundle({ options }) {
      return { pem: await service.trustBundle(options.certificate_id) };
    },
  };
}

/** The authorization details of an Issue: the issuer and the profile that it resolves to. */
export function certificatesResolvers(
  service: CertificateService,
): Resolvers<Manager, CallContext, typeof nameParsers> {
  return {
    Issue: ({ certificate_id, options }) => service.resolve(certificate_id, options),
  };
}
