/** The rules of `certificates.yaml`, which limit the certificates of an id or of the ids that a glob matches. */
import { ServiceError } from '../../errors.ts';
import { parseReference } from '../../ids.ts';
import type { SettingPath } from '../../service/config/config-problem.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import { type KeyAlgorithm, keyAlgorithms } from '../../x509/algorithm.ts';
import { encodeName, type Name, parseName } from '../../x509/name.ts';
import type { RenewalSetting } from '../../x509/renewal-time.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../x509/subject-alternative-name.ts';

/** How certificates of an id are issued; `external`: by another service, which imports them. */
export type Method = 'none' | 'self_signed' | 'local_ca' | 'est' | 'command' | 'external';

/** Whether a renewal is for a new key. */
export type KeyPolicy = 'rotate' | 'reuse';

/** The purpose of a certificate. */
export type Profile = 'device-identity' | 'device-ca' | 'workload-ca' | 'server' | 'client';

/** The limits of the certificates of an id or of the ids that a glob matches. */
export interface CertificateRule {
  readonly method?: Method;
  readonly issuer?: string;
  readonly label?: string;
  readonly bootstrap?: string;
  readonly profiles?: readonly Profile[];
  readonly key_id?: string;
  readonly subject?: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: readonly string[];
  readonly lifetime?: string;
  readonly renew_at?: string;
  readonly key_algorithms?: readonly KeyAlgorithm[];
  readonly key_policy?: KeyPolicy;
  readonly publish?: boolean;
}

/** All profiles, as they are spelled on the bus. */
export const profiles: readonly Profile[] = [
  'device-identity',
  'device-ca',
  'workload-ca',
  'server',
  'client',
];

/** The schema of an id, equal to `isId`. */
export const idSchema = {
  type: 'string',
  pattern: '^(?!(.*/)?[.]{0,2}(/|$))[A-Za-z0-9$][A-Za-z0-9._$/:@-]{0,127}$',
};
/** A path segment of the URLs of an EST server (RFC 7030 3.2.2). */
export const labelSchema = { type: 'string', pattern: '^[A-Za-z0-9._~-]{1,64}$' };
/** `key://<id>` or a bare id, which `parseReference` checks. */
export const keyReferenceSchema = { type: 'string', minLength: 1 };

export const textsSchema = { type: 'array', items: { type: 'string', minLength: 1 } };

/** JSON schema of a rule. */
export const ruleSchema = {
  type: 'object',
  properties: {
    method: {
      description:
        'How certificates of these ids are issued; none: not at all, external: by another service.',
      type: 'string',
      enum: ['none', 'self_signed', 'local_ca', 'est', 'command', 'external'],
      default: 'local_ca',
    },
    issuer: {
      description: 'The issuer: the id of the CA certificate that signs, or a name of issuers.',
      ...idSchema,
    },
    label: { description: 'est: the label, in place of that of the issuer.', ...labelSchema },
    bootstrap: {
      description:
        'est: id of the client certificate as long as there is no other, in place of that of the issuer.',
      ...idSchema,
    },
    profiles: {
      description: 'What these certificates may be for; the first is the default.',
      type: 'array',
      items: { type: 'string', enum: profiles },
      minItems: 1,
      default: ['client'],
    },
    key_id: {
      description: 'Id of the key that belongs to the certificate.',
      ...keyReferenceSchema,
    },
    subject: {
      description: 'Subject name (RFC 4514), by default CN=<id>.',
      type: 'string',
      pattern: '^[A-Za-z]+ *=',
    },
    dns: { description: 'DNS names that these certificates may have.', ...textsSchema },
    ip: { description: 'IP addresses that these certificates may have.', ...textsSchema },
    uri: { description: 'URIs that these certificates may have.', ...textsSchema },
    lifetime: {
      description:
        'The longest life of these certificates, by default 30d: a number and s, min, h or d.',
      type: 'string',
      pattern: '^[1-9][0-9]{0,8}(s|min|h|d)$',
    },
    renew_at: {
      description:
        'When a certificate is due for renewal: after this part of its life, such as 80%, or so long before its end: a number and s, min, h or d.',
      type: 'string',
      pattern: '^([1-9][0-9]?%|[1-9][0-9]{0,8}(s|min|h|d))$',
      default: '80%',
    },
    key_algorithms: {
      description:
        'The kinds of keys that these certificates may be for, the preferred one first; by default all.',
      type: 'array',
      items: { type: 'string', enum: keyAlgorithms },
      minItems: 1,
    },
    key_policy: {
      description:
        'Whether a renewal is for a new key (rotate, the default without key_id) or for the same one (reuse).',
      // a list, as earlier versions had it here, is reported with the name that it has now
      anyOf: [{ type: 'string', enum: ['rotate', 'reuse'] }, { type: 'array' }],
    },
    publish: {
      description:
        'Whether these certificates are kept as files for other programs, below publish_dir.',
      type: 'boolean',
      default: false,
    },
  },
  additionalProperties: false,
};

const kinds = ['dns', 'ip', 'uri'] as const;
const maxCommonName = 64;
const secondsPer = new Map([
  ['s', 1],
  ['min', 60],
  ['h', 3600],
  ['d', 86_400],
]);

/** Why an id cannot be enrolled. */
export const notEnrollable =
  'ids that are enrolled have at most 100 characters and do not end in @ and a number';

/** Whether a certificate of this id can be enrolled: the ids of its keys are made from it. */
export function isEnrollable(id: string): boolean {
  return id.length <= 100 && !/@\d+$/.test(id);
}

/** The subject of a certificate by its rule, else the id as common name; InvalidArgs when the id is too long for it. */
export function subjectOf({ subject }: CertificateRule, id: string): Name {
  if (subject !== undefined) return parseName(subject);
  if (id.length > maxCommonName) {
    const name = `"${id}"`;
    throw new ServiceError(
      'InvalidArgs',
      `the id of the certificate ${name} is too long for its common name: certificates.yaml needs \`certificates: ${name}: subject\``,
    );
  }
  return [[{ type: 'CN', value: id }]];
}

/** The alternative names that a rule allows; InvalidArgs when one is malformed. */
export function namesOf(rule: CertificateRule): readonly SubjectAlternativeName[] {
  return kinds.flatMap((kind) =>
    (rule[kind] ?? []).map((text) => parseAlternativeName(kind, text)),
  );
}

/** The longest lifetime of a certificate, in seconds; undefined when the rule does not limit it. */
export function lifetimeOf({ lifetime }: CertificateRule): number | undefined {
  return lifetime === undefined ? undefined : secondsOf(lifetime);
}

/** When a certificate is due for renewal: after a part of its life, or so long before its end. */
export function renewalOf({ renew_at: setting = '80%' }: CertificateRule): RenewalSetting {
  if (setting.endsWith('%')) return { afterShare: Number(setting.slice(0, -1)) / 100 };
  return { beforeEndS: secondsOf(setting) };
}

function secondsOf(duration: string): number {
  const [, count, unit = ''] = /^(\d+)([a-z]+)$/.exec(duration) ?? [];
  return Number(count) * (secondsPer.get(unit) ?? Number.NaN);
}

/** The rule with its key as a bare id; reports names that no certificate can have. */
export function parseRule(
  rule: CertificateRule,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): CertificateRule {
  const { key_policy: keyPolicy, subject } = rule;
  if (Array.isArray(keyPolicy)) {
    const text = 'is rotate or reuse: the kinds of keys are listed in key_algorithms';
    context.report([...path, 'key_policy'], text);
  }
  if (subject !== undefined) {
    parseAt(context, [...path, 'subject'], () => encodeName(parseName(subject)));
  }
  for (const kind of kinds) {
    for (const [at, text] of (rule[kind] ?? []).entries()) {
      parseAt(context, [...path, kind, at], () => parseAlternativeName(kind, text));
    }
  }
  return withKeyId(rule, path, context);
}

/** The setting with its `key_id` as a bare id. */
export function withKeyId<T extends { readonly key_id?: string | undefined }>(
  setting: T,
  path: SettingPath,
  context: Pick<ParseContext, 'report'>,
): T {
  const { key_id: reference } = setting;
  if (reference === undefined) return setting;
  const id = parseAt(context, [...path, 'key_id'], () => parseReference(reference, 'key'));
  return { ...setting, ...(id !== undefined && { key_id: id }) };
}
