import { type CertificateId, isId, parseReference } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import {
  type CertificateRule,
  idSchema,
  isEnrollable,
  notEnrollable,
  parseRule,
  ruleSchema,
  textsSchema,
} from './certificate-rule.ts';
import {
  type IssuerSettings,
  type IssuerYaml,
  issuerSchema,
  parseIssuer,
} from './issuer-settings.ts';

/** `certificates.yaml`. */
export interface CertificatesConfig extends CommonConfig {
  readonly certificates: Readonly<Record<string, CertificateRule>>;
  readonly issuers: Readonly<Record<string, IssuerSettings>>;
  readonly trust_bundle: readonly string[];
  /** The directory of published certificates. */
  readonly publish_dir: string;
  /** The sources of `preloaded_cert:<id>`: files, or certificates by their ids. */
  readonly preloaded: Readonly<Record<string, readonly PreloadedSource[]>>;
}

interface CheckedIssuers {
  readonly issuers: Readonly<Record<string, IssuerYaml>>;
}

/** A part of a preloaded certificate. */
export type PreloadedSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'certificate'; readonly id: CertificateId };

/** The methods that have an issuer. */
const issuedMethods: readonly string[] = ['local_ca', 'est', 'command'];
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
      description: 'Issuers by name; the name of a local CA is the id of its certificate.',
      type: 'object',
      additionalProperties: issuerSchema,
      default: {},
    },
    trust_bundle: {
      description: 'Ids of the certificates that modules trust; by default trusted-ca.',
      type: 'array',
      items: idSchema,
      default: [],
    },
    publish_dir: {
      description: 'The directory with a folder for each certificate that is published.',
      type: 'string',
      // every segment is a name: the path is spelled in units of systemd, too
      pattern: '^(/(?![.]{1,2}(/|$))[^/\\u0000-\\u001f]+)+$',
      default: '/var/lib/iotedge/published',
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
  const checked = value as CommonConfig &
    Omit<CertificatesConfig, 'preloaded' | 'issuers'> &
    CheckedIssuers; // by the schema
  const issuers = Object.entries(checked.issuers).map(
    ([id, issuer]) => [id, parseIssuer(issuer, ['issuers', id], context)] as const,
  );
  const rules = Object.entries(checked.certificates).map(
    ([glob, rule]) => [glob, parseRule(rule, ['certificates', glob], context)] as const,
  );
  for (const [glob, rule] of rules) checkRule(glob, rule, Object.fromEntries(issuers), context);
  return {
    ...checked,
    certificates: Object.fromEntries(rules),
    issuers: Object.fromEntries(issuers),
    preloaded: parsePreloaded(checked, context),
  };
}

/** Reports a rule that no certificate can be issued by. */
function checkRule(
  glob: string,
  { bootstrap, issuer, label, method = 'local_ca' }: CertificateRule,
  issuers: CertificatesConfig['issuers'],
  { report }: Pick<ParseContext, 'report'>,
): void {
  const named = new Map(Object.entries(issuers)).get(issuer ?? '')?.method ?? 'local_ca';
  const place = ['certificates', glob];
  if (method === 'self_signed' && issuer !== undefined) {
    report([...place, 'issuer'], 'the method self_signed has no issuer');
  } else if (issuer !== undefined && issuedMethods.includes(method) && named !== method) {
    report([...place, 'issuer'], `${quoted(issuer)} has the method ${named}, not ${method}`);
  }
  const what = { est: 'an EST server', command: 'a command' };
  if ((method === 'est' || method === 'command') && issuer === undefined) {
    const text = `${method} needs issuer: the name of ${what[method]} in issuers`;
    report([...place, 'method'], text);
  }
  for (const [name, value] of Object.entries({ label, bootstrap })) {
    if (value !== undefined && method !== 'est') {
      report([...place, name], 'is for the method est');
    }
  }
  if (
    ['self_signed', 'est', 'command'].includes(method) &&
    !glob.startsWith('iotedge/module/') &&
    !isEnrollable(glob)
  ) {
    report(place, `${quoted(glob)} can have no certificate of this method: ${notEnrollable}`);
  }
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
