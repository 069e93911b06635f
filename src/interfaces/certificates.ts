import {
  type Check,
  defineInterface,
  defineService,
  type TextArguments,
} from '../dbus/definition.ts';
import {
  describe,
  longErrors,
  managerProperties,
  operationInProgress,
  operationProperty,
  waitOption,
} from './common.ts';
import {
  certificateFormats,
  certificateMethods,
  certificateStates,
  profiles,
} from './enumerations.ts';
import { certificatesNotes } from './notes.ts';

const certificateId = { certificate_id: 'certificate-id' } as const;
const certificates: Check = { maxBytes: 256 << 10 };
const NotFound = 'there is no certificate of that id';
const Unavailable = 'the Keys service, or a file of state, cannot be used now';
const caProfiles: readonly (string | undefined)[] = ['device-ca', 'workload-ca'];

/** Issuing certificates that can issue others is an action of its own. */
const issueAction = {
  oneOf: ['org.iotedge.certificates1.issue', 'org.iotedge.certificates1.issue-ca'],
  choose: ({ profile }: TextArguments) =>
    caProfiles.includes(profile)
      ? 'org.iotedge.certificates1.issue-ca'
      : 'org.iotedge.certificates1.issue',
} as const;
const issue = { action: issueAction, details: ['certificate_id', 'issuer', 'profile'] } as const;
const issueById = {
  action: issueAction,
  details: { certificate_id: 'id', issuer: 'issuer', profile: 'profile' },
} as const;
const enrolErrors = {
  ...longErrors,
  NotFound: 'the issuer has no certificate or no key, or there is no key of the configured id',
  NotSupported:
    'the certificate is preloaded or not issued here by its rule, or its issuer refuses it for good',
  Unavailable:
    'the issuer cannot be reached, has not decided or refuses for now, or the Keys service cannot be used now',
} as const;
const enrolOptions = { ...waitOption, issuer: 's', rotate_key: 'b' } as const;

/** The manager object of the Certificates service. */
export const certificatesInterface = defineInterface({
  name: 'org.iotedge.Certificates1',
  doc: 'Holds certificates; issues, imports and exports them. Private keys stay in the Keys service.',
  notes: certificatesNotes,
  methods: {
    Issue: {
      doc: 'Signs a CSR (DER or PEM) and returns the chain, leaf first. Nothing is stored.',
      waits: true,
      in: { certificate_id: 's', csr: 'ay' },
      options: { issuer: 's', profile: 's', lifetime_s: 'u' },
      out: { chain_pem: 's' },
      check: {
        ...certificateId,
        csr: certificates,
        issuer: 'certificate-id',
        profile: { oneOf: profiles },
      },
      resolve: ['issuer', 'profile'],
      authorize: issue,
      errors: {
        NotFound: 'the issuer has no certificate or no key',
        NotSupported: 'the configuration has no way to issue that certificate',
        Unavailable: 'the issuer, or the key that signs, cannot be used now',
      },
    },
    Enroll: {
      doc: 'Makes a key and gets a certificate for it, by the rule for the id in certificates.yaml; the service renews it from then on. Returns at once when there is one. With `wait` false a certificate without success is `pending` or `stuck`, and LastError states why; an order that the issuer has not decided on is kept in any case.',
      long: true,
      in: { certificate_id: 's' },
      options: enrolOptions,
      out: { certificate: 'o' },
      check: { ...certificateId, issuer: 'certificate-id' },
      resolve: ['issuer', 'profile'],
      authorize: issue,
      errors: enrolErrors,
    },
    Renew: {
      doc: 'Renews a certificate now. The former one and its key can still be used for 24 hours, 8 former ones at most.',
      long: true,
      in: { certificate_id: 's' },
      options: { ...waitOption, rotate_key: 'b' },
      out: { certificate: 'o' },
      check: certificateId,
      resolve: ['issuer', 'profile'],
      authorize: issue,
      errors: {
        ...enrolErrors,
        NotFound: 'there is no certificate of that id, or no key of it or of its issuer',
      },
    },
    GetCertificate: {
      doc: 'The certificate, its chain and the key that belongs to it: the one consistent read.',
      reads: true,
      in: { certificate_id: 's' },
      out: { certificate: 'a{sv}' },
      records: {
        certificate: {
          chain_pem: 's',
          key_id: 's',
          not_before: 't',
          not_after: 't',
          renew_at: 't',
        },
      },
      check: certificateId,
      authorize: 'public',
      errors: { NotFound, Unavailable },
    },
    ImportCertificate: {
      doc: 'Stores a certificate and its chain, in any order, or a bundle of CAs; formats `pem` (text, headers and other blocks around it are left out), `der`, `pkcs7` (DER or PEM). A private key is refused. The key named with it may be created later.',
      waits: true,
      in: { certificate_id: 's', data: 'ay', format: 's' },
      options: { key_id: 's', if_exists: 's' },
      out: { certificate: 'o' },
      check: {
        ...certificateId,
        data: certificates,
        format: { oneOf: certificateFormats },
        key_id: 'key-id',
        if_exists: { oneOf: ['fail', 'replace'] },
      },
      authorize: { action: 'org.iotedge.certificates1.import', details: ['certificate_id'] },
      errors: {
        AlreadyExists: 'there is a certificate of that id, and `if_exists` is not `replace`',
        NotSupported: 'the certificate is preloaded',
        Unavailable,
      },
    },
    ExportCertificate: {
      doc: 'The certificate and its chain as `pem` or `pkcs7`, or the certificate alone as `der`.',
      in: { certificate_id: 's', format: 's' },
      out: { data: 'ay' },
      check: { ...certificateId, format: { oneOf: certificateFormats } },
      authorize: {
        action: 'org.iotedge.certificates1.export',
        details: ['certificate_id', 'format'],
      },
      errors: { NotFound, Unavailable },
    },
    DeleteCertificate: {
      doc: 'Deletes a certificate, and the keys that were made for it by Enroll and Renew; other keys stay.',
      in: { certificate_id: 's' },
      check: certificateId,
      authorize: { action: 'org.iotedge.certificates1.delete', details: ['certificate_id'] },
      errors: { NotFound, NotSupported: 'the certificate is preloaded', Unavailable },
    },
    GetTrustBundle: {
      doc: 'The certificates that modules trust: of the id asked for, else as configured, else `trusted-ca`. Of several configured, those that are damaged or missing are left out, and named in `LastError`.',
      reads: true,
      options: { certificate_id: 's' },
      out: { pem: 's' },
      check: certificateId,
      authorize: 'public',
      errors: { NotFound, Unavailable },
    },
    Cancel: {
      doc: 'Cancels the operation that is in progress for a certificate; its callers get Cancelled. Between two attempts of an order none is in progress.',
      in: { id: 's' },
      check: { id: 'certificate-id' },
      resolve: ['operation', 'issuer', 'profile'],
      authorize: {
        choose: operationInProgress,
        among: { '': issueById, Enroll: issueById, Renew: issueById },
      },
      errors: { NotFound: 'no operation is in progress for that certificate' },
    },
    Describe: describe,
  },
  properties: {
    ...managerProperties,
    TrustBundleDigest: {
      type: 's',
      emits: 'true',
      doc: 'SHA-256 of the trust bundle, lower-case hex.',
    },
  },
  signals: {
    RenewalFailed: {
      doc: 'A certificate could not be renewed; next_attempt is 0 when there will be none.',
      args: { certificate_id: 's', reason: 's', next_attempt: 't' },
    },
    TrustBundleChanged: { doc: 'The result of GetTrustBundle has changed.' },
  },
});

/** A certificate. */
export const certificateInterface = defineInterface({
  name: 'org.iotedge.Certificates1.Certificate',
  doc: 'A certificate that the service holds.',
  properties: {
    CertificateId: { type: 's', emits: 'const', doc: 'Its id.' },
    KeyId: {
      type: 's',
      emits: 'true',
      doc: 'The key that belongs to it, as the Keys service has it at present; `` when not known.',
    },
    Subject: { type: 's', emits: 'true', doc: 'Subject name (RFC 4514).' },
    Issuer: { type: 's', emits: 'true', doc: 'Issuer name (RFC 4514).' },
    SerialNumber: { type: 's', emits: 'true', doc: 'Serial number, hex.' },
    NotBefore: {
      type: 't',
      emits: 'true',
      doc: 'Start of validity, microseconds since the epoch; 0 also for a start before 1970.',
    },
    NotAfter: {
      type: 't',
      emits: 'true',
      doc: 'End of validity, microseconds since the epoch; 1 for an end before 1970.',
    },
    SubjectAlternativeNames: {
      type: 'as',
      emits: 'true',
      doc: 'Such as `dns:edge` or `ip:::1`; names other than of hosts, addresses, URIs and email are left out.',
    },
    Fingerprint: { type: 's', emits: 'true', doc: 'SHA-256 of the certificate, lower-case hex.' },
    Method: {
      type: 's',
      values: certificateMethods,
      emits: 'true',
      doc: 'How it is issued, `none` when it was imported or preloaded.',
    },
    Profile: {
      type: 's',
      values: [...profiles, ''],
      emits: 'true',
      doc: 'What it is for, `` when not known.',
    },
    State: {
      type: 's',
      values: certificateStates,
      emits: 'true',
      doc: 'Its state; `pending`: there is none yet, `stuck`: it cannot be renewed, LastError states why.',
    },
    RenewAt: {
      type: 't',
      emits: 'true',
      doc: 'When renewal is due, 0 when it is not renewed here.',
    },
    LastAttempt: {
      type: 't',
      emits: 'true',
      doc: 'When the last attempt to issue or renew it here ended, 0 when there was none; it failed when LastError is not ``.',
    },
    NextAttempt: { type: 't', emits: 'true', doc: 'When renewal is retried, 0 when it is not.' },
    LastError: { type: 's', emits: 'true', doc: 'Its current problem, `` when there is none.' },
    Operation: operationProperty,
    Preloaded: { type: 'b', emits: 'const', doc: 'Whether it comes from the configuration.' },
  },
});

/** The Certificates service. */
export const certificatesService = defineService({
  name: 'certificates',
  doc: 'Holds, issues, imports and exports certificates.',
  busName: 'org.iotedge.Certificates1',
  path: '/org/iotedge/Certificates1',
  user: 'iotedge-certificates',
  manager: certificatesInterface,
  child: { segment: 'certificate', interface: certificateInterface },
  actions: {
    'org.iotedge.certificates1.issue': {
      description: 'Issue a certificate',
      message:
        'Authentication is required to issue the certificate "$(certificate_id)" for this device',
    },
    'org.iotedge.certificates1.issue-ca': {
      description: 'Issue a certificate that can issue certificates',
      message:
        'Authentication is required to issue the certificate "$(certificate_id)", which can issue further certificates',
    },
    'org.iotedge.certificates1.import': {
      description: 'Import a certificate',
      message:
        'Authentication is required to import the certificate "$(certificate_id)" into this device',
    },
    'org.iotedge.certificates1.export': {
      description: 'Export a certificate',
      message:
        'Authentication is required to read the certificate "$(certificate_id)" of this device',
      defaults: { any: 'yes', inactive: 'yes', active: 'yes' },
    },
    'org.iotedge.certificates1.delete': {
      description: 'Delete a certificate',
      message:
        'Authentication is required to delete the certificate "$(certificate_id)" of this device',
    },
  },
});
