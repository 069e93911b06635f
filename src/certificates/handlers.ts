import type { Handlers, Resolvers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/server/call.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { CertificateId, nameParsers } from '../ids.ts';
import type { certificatesInterface, certificatesService } from '../interfaces/certificates.ts';
import type { Cancellations } from '../service/operations/cancellations.ts';
import { longHandler } from '../service/operations/long-handler.ts';
import type { Publishing } from './publishing/publishing.ts';
import type { Enrolments } from './renewal/enrolments.ts';
import type { CertificateService } from './service.ts';

type Manager = typeof certificatesInterface;

/** The parts of the handlers besides the service. */
export interface CertificatesHandlersOptions {
  readonly enrolments: Enrolments;
  readonly cancellations: Cancellations;
  readonly objects: Pick<ObjectManager<typeof certificatesService>, 'pathOf'>;
  readonly publishing: Pick<Publishing, 'settled'>;
}

/** The methods of the manager. */
export function certificatesHandlers(
  service: CertificateService,
  { cancellations, enrolments, objects, publishing }: CertificatesHandlersOptions,
): Omit<Handlers<Manager, CallContext, typeof nameParsers>, 'Describe'> {
  const { enroll, operations, renew } = enrolments;
  const reply = (_result: unknown, id: CertificateId) => ({ certificate: objects.pathOf(id) });
  return {
    Enroll: longHandler(operations, enroll, {
      request: ({ certificate_id: id, options }: EnrolInput) => {
        const { wait = true, issuer = '', rotate_key: rotateKey } = options;
        service.orderRule(id, { issuer });
        const args = { issuer, ...(rotateKey !== undefined && { rotateKey }) };
        const isDone = service.isEnrolled(id, args);
        return { id, args, wait, ...(isDone && { result: true as const }) };
      },
      reply,
    }),
    Renew: longHandler(operations, renew, {
      request: ({ certificate_id: id, options }: RenewInput) => {
        const { wait = true, rotate_key: rotateKey } = options;
        service.assertRenewable(id);
        return { id, args: { issuer: '', ...(rotateKey !== undefined && { rotateKey }) }, wait };
      },
      reply,
    }),
    Cancel({ id }, call) {
      cancellations.cancel(operations, id, call);
      return {};
    },
    async Issue({ certificate_id, csr, options }, via) {
      return { chain_pem: await service.issue(certificate_id, csr, { ...options, via }) };
    },
    async GetCertificate({ certificate_id }, via) {
      return { certificate: await service.get(certificate_id, via) };
    },
    async ImportCertificate({ certificate_id, data, format, options }, via) {
      const { key_id: keyId, if_exists: ifExists } = options;
      await service.import(certificate_id, { data, format }, { keyId, ifExists, via });
      await enrolments.settle(certificate_id, via);
      await enrolments.hasten(({ enrolment }) => enrolment?.order?.issuer === certificate_id);
      await publishing.settled();
      return { certificate: objects.pathOf(certificate_id) };
    },
    async ExportCertificate({ certificate_id, format }) {
      return { data: await service.export(certificate_id, format) };
    },
    async DeleteCertificate({ certificate_id }, via) {
      await service.delete(certificate_id);
      await enrolments.settle(certificate_id, via);
      await publishing.settled();
      return {};
    },
    async GetTrustBundle({ options }) {
      return { pem: await service.trustBundle(options.certificate_id) };
    },
  };
}

/** The authorization details of what is issued: the issuer and the profile that it resolves to. */
export function certificatesResolvers(
  service: CertificateService,
  {
    cancellations,
    enrolments: { operations },
  }: Pick<CertificatesHandlersOptions, 'cancellations' | 'enrolments'>,
): Resolvers<Manager, CallContext, typeof nameParsers> {
  return {
    Issue: ({ certificate_id, options }) => service.resolve(certificate_id, options),
    Enroll: ({ certificate_id, options: { issuer = '' } }) =>
      service.resolveOrder(certificate_id, { issuer }),
    Renew: ({ certificate_id }) => service.resolveOrder(certificate_id, { issuer: '' }),
    Cancel: ({ id }, call) => {
      const operation = operations.current(id);
      const details = operation === undefined ? {} : service.resolveOrder(id, { issuer: '' });
      return {
        issuer: '',
        profile: '',
        ...details,
        operation: cancellations.resolve(call, operation),
      };
    },
  };
}

interface EnrolInput {
  readonly certificate_id: CertificateId;
  readonly options: RenewInput['options'] & { readonly issuer?: string | undefined };
}

interface RenewInput {
  readonly certificate_id: CertificateId;
  readonly options: {
    readonly wait?: boolean | undefined;
    readonly rotate_key?: boolean | undefined;
  };
}
