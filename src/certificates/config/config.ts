import { type CertificateId, isId, parseReference } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import {
  type CertificateRule,
  idSchema,
  keyReferenceSchema,
  parseRule,
  ruleSchema,
  textsSchema,
  withKeyId,
} from './certificate-rule.ts';

/** `certificates.yaml`. */
export interface CertificatesConfig extends CommonConfig {
  readonly certificates: Readonly<Record<string, CertificateRule>>;
  readonly issuers: Readonly<Record<string, { readonly key_id?: string }>>;
  readonly trust_bundle: readonly string[];
  /** The sources of `preloaded_cert:<id>`: files, or certificates by their ids. */
  readonly preloaded: Readonly<Record<string, readonly PreloadedSource[]>>;
}

/** A part of a preloaded certificate. */
export type PreloadedSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'certificate'; readonly id: CertificateId };

const prefix = 'preloaded_cert:';
const preloaded = {
  description: 'A certificate from a file, or a list of files and certificate ids.',
  anyOf: [
    { type: 'string', minLength: 1 },
    { ...textsSchema, minItems: 1 },
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
      additionalProperties: ruleSchema,
      default: {},
    },
    issuers: {
      description: 'CA certificates by id, and the keys that belong to them.',
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: {
          key_id: { description: 'Id of the key of the CA certificate.', ...keyReferenceSchema },
        },
        additionalProperties: false,
      },
      default: {},
    },
    trust_bundle: {
      description: 'Ids of the certificates that modules trust; by default trusted-ca.',
      type: 'array',
      items: idSchema,
      default: [],
    },
  },
  patternProperties: { [`^${prefix}.+$`]: preloaded },
  additionalProperties: false,
} as const;

/**
 * Parses a value that the schema has accepted; reports preloaded certificates with an invalid id or source, invalid
 * references to keys, and names that no certificate can have.
 */
export function parseCertificatesConfig(
  value: unknown,
  context: Pick<ParseContext, 'report'>,
): CertificatesConfig {
  const checked = value as CommonConfig & Omit<CertificatesConfig, 'preloaded'>; // by the schema
  const issuers = Object.entries(checked.issuers).map(
    ([id, issuer]) => [id, withKeyId(issuer, ['issuers', id], context)] as const,
  );
  const rules = Object.entries(checked.certificates).map(
    ([glob, rule]) => [glob, parseRule(rule, ['certificates', glob], context)] as const,
  );
  return {
    ...checked,
    certificates: Object.fromEntries(rules),
    issuers: Object.fromEntries(issuers),
    preloaded: parsePreloaded(checked, context),
  };
}

function parsePreloaded(
  settings: object,
  context: Pick<ParseContext, 'report'>,
): CertificatesConfig['preloaded'] {
  const found: Record<string, readonly PreloadedSource[]> = {};
  for (const [key, setting] of Object.entries(settings)) {
    if (!key.startsWith(prefix)) continue;
    const id = key.slice(prefix.length);
    if (!isId(id)) context.report([key], `${quoted(id)} is not a certificate id`);
    found[id] = textsOf(setting).flatMap(
      (text) => parseAt(context, [key], () => parseSource(text)) ?? [],
    );
  }
  return found;
}

function textsOf(setting: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(setting) ? setting : [setting];
  return list.map(String);
}

/** An absolute path or a reference to a certificate; InvalidArgs for anything else. */
function parseSource(text: string): PreloadedSource {
  const path = /^(?:file:\/\/)?(\/.*)$/s.exec(text)?.[1];
  if (path !== undefined) return { kind: 'file', path };
  return { kind: 'certificate', id: parseReference(text, 'cert') };
}
