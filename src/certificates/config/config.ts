import { isId, parseReference } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import {
  type CommonConfig,
  commonProperties,
  type ParseContext,
} from '../../service/config/config.ts';
import { reportRules } from './config-rules.ts';

/** How certificates of an id come about. */
export type Method = 'none' | 'local_ca';

/** What a certificate is for. */
export type Profile = 'device-identity' | 'device-ca' | 'workload-ca' | 'server' | 'client';

/** What the certificates of the ids that a glob covers may be. */
export interface CertificateRule {
  readonly method?: Method;
  readonly issuer?: string;
  readonly profiles?: readonly Profile[];
  readonly key_id?: string;
  readonly subject?: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: readonly string[];
  readonly lifetime?: string;
  readonly renew_at?: string;
  readonly key_policy?: readonly string[];
}

/** `certificates.yaml`. */
export interface CertificatesConfig extends CommonConfig {
  readonly certificates: Readonly<Record<string, CertificateRule>>;
  readonly issuers: Readonly<Record<string, { readonly key_id?: string }>>;
  readonly trust_bundle: readonly string[];
  /** What `preloaded_cert:<id>` names: files, or certificates by their ids. */
  readonly preloaded: Readonly<Record<string, readonly PreloadedSource[]>>;
}

/** A part of a preloaded certificate. */
export type PreloadedSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'certificate'; readonly id: string };

/** The profiles, as they are spelled on the bus. */
export const profiles: readonly Profile[] = [
  'device-identity',
  'device-ca',
  'workload-ca',
  'server',
  'client',
];

const prefix = 'preloaded_cert:';
/** As `isId` has it. */
const id = {
  type: 'string',
  pattern: '^(?!(.*/)?[.]{0,2}(/|$))[A-Za-z0-9$][A-Za-z0-9._$/:@-]{0,127}$',
};
/** `key://<id>` or a bare id, which `parseReference` judges. */
const keyReference = { type: 'string', minLength: 1 };
const strings = { type: 'array', items: { type: 'string', minLength: 1 } };
const keyAlgorithms = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
];

const rule = {
  type: 'object',
  properties: {
    method: {
      description: 'How certificates of these ids are issued; none: not at all.',
      type: 'string',
      enum: ['none', 'local_ca'],
      default: 'local_ca',
    },
    issuer: { description: 'Id of the CA certificate that signs.', ...id },
    profiles: {
      description: 'What these certificates may be for; the first is the default.',
      type: 'array',
      items: { type: 'string', enum: profiles },
      minItems: 1,
      default: ['client'],
    },
    key_id: { description: 'Id of the key that belongs to the certificate.', ...keyReference },
    subject: {
      description: 'Subject name (RFC 4514), by default CN=<id>.',
      type: 'string',
      pattern: '^[A-Za-z]+ *=',
    },
    dns: { description: 'DNS names that these certificates may have.', ...strings },
    ip: { description: 'IP addresses that these certificates may have.', ...strings },
    uri: { description: 'URIs that these certificates may have.', ...strings },
    lifetime: {
      description:
        'The longest life of these certificates, by default 30d: a number and s, min, h or d.',
      type: 'string',
      pattern: '^[1-9][0-9]{0,8}(s|min|h|d)$',
    },
    renew_at: {
      description: 'The part of its life after which a certificate is due for renewal.',
      type: 'string',
      pattern: '^[1-9][0-9]?%$',
      default: '80%',
    },
    key_policy: {
      description: 'The kinds of keys that these certificates may be for; by default all.',
      type: 'array',
      items: { type: 'string', enum: keyAlgorithms },
      minItems: 1,
    },
  },
  additionalProperties: false,
};

const preloaded = {
  description: 'A certificate from a file, or a list of files and certificate ids.',
  anyOf: [
    { type: 'string', minLength: 1 },
    { ...strings, minItems: 1 },
  ],
};

/** The schema of `certificates.yaml`. */
export const certificatesSchema = {
  $id: 'https://iotedge.org/schema/certificates.schema.json',
  type: 'object',
  properties: {
    ...commonProperties,
    certificates: {
      description: 'By id or glob on ids; the exact id wins, then the longest glob.',
      type: 'object',
      additionalProperties: rule,
      default: {},
    },
    issuers: {
      description: 'CA certificates by id, and the keys that belong to them.',
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: {
          key_id: { description: 'Id of the key of the CA certificate.', ...keyReference },
        },
        additionalProperties: false,
      },
      default: {},
    },
    trust_bundle: {
      description: 'Ids of the certificates that modules trust; by default trusted-ca.',
      type: 'array',
      items: id,
      default: [],
    },
  },
  patternProperties: { [`^${prefix}.+$`]: preloaded },
  additionalProperties: false,
} as const;

/**
 * Gives the configuration its type; reports preloaded certificates with an impossible id or place, keys that are none
 * and names that no certificate can have.
 */
export function parseCertificatesConfig(
  value: unknown,
  { report }: Pick<ParseContext, 'report'>,
): CertificatesConfig {
  const checked = value as CommonConfig & Omit<CertificatesConfig, 'preloaded'>; // by the schema
  const found: Record<string, readonly PreloadedSource[]> = {};
  for (const [key, setting] of Object.entries(checked)) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    if (!isId(name)) report([key], `${quoted(name)} is not a certificate id`);
    found[name] = textsOf(setting).flatMap((text) => {
      try {
        return sourceOf(text);
      } catch (error) {
        report([key], error instanceof Error ? error.message : '');
        return [];
      }
    });
  }
  const keysOf = <T extends { readonly key_id?: string }>(
    setting: 'certificates' | 'issuers',
    named: Readonly<Record<string, T>>,
  ): Readonly<Record<string, T>> =>
    Object.fromEntries(
      Object.entries(named).map(([name, rule]) => [
        name,
        withKeyId(rule, (message) => report([setting, name, 'key_id'], message)),
      ]),
    );
  reportRules(checked.certificates, { report });
  return {
    ...checked,
    certificates: keysOf('certificates', checked.certificates),
    issuers: keysOf('issuers', checked.issuers),
    preloaded: found,
  };
}

/** The rule with its key as a bare id. */
function withKeyId<T extends { readonly key_id?: string }>(
  rule: T,
  report: (message: string) => void,
): T {
  const { key_id: reference } = rule;
  if (reference === undefined) return rule;
  try {
    return { ...rule, key_id: parseReference(reference, 'key') };
  } catch (error) {
    report(error instanceof Error ? error.message : '');
    return rule;
  }
}

function textsOf(setting: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(setting) ? setting : [setting];
  return list.map(String);
}

/** An absolute path or a reference to a certificate; InvalidArgs for anything else. */
function sourceOf(text: string): PreloadedSource {
  const path = /^(?:file:\/\/)?(\/.*)$/s.exec(text)?.[1];
  if (path !== undefined) return { kind: 'file', path };
  return { kind: 'certificate', id: parseReference(text, 'cert') };
}
