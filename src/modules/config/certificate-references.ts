/** The certificates that modules.yaml references. */
import { posix } from 'node:path';
import { type CertificateId, type KeyId, parseReference } from '../../ids.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';

/** A certificate, by its id in the Certificates service or its file. */
export type CertificateReference =
  | { readonly kind: 'id'; readonly id: CertificateId }
  | { readonly kind: 'file'; readonly path: string };

/** The setting `certificates` of modules.yaml. */
export interface CertificateReferences {
  /** Issues the certificates of modules; undefined leaves the choice to the Certificates service. */
  readonly deviceCa: CertificateId | undefined;
  /** The configured key of that CA. */
  readonly deviceCaKey: KeyId | undefined;
  /** Empty leaves the choice to the Certificates service. */
  readonly trustedCas: readonly CertificateReference[];
}

/** The setting, valid by the schema but not yet parsed. */
export interface RawCertificates {
  readonly device_ca_cert?: string;
  readonly device_ca_pk?: string;
  readonly trusted_ca_certs?: string | readonly string[];
}

const text = { type: 'string', minLength: 1 } as const;

/** JSON schema of the setting. */
export const certificatesSchema = {
  description: 'Certificates by reference: cert://<id>, key://<id> or a bare id.',
  type: 'object',
  additionalProperties: false,
  default: {},
  properties: {
    device_ca_cert: { description: 'The CA that issues the certificates of modules.', ...text },
    device_ca_pk: { description: 'Its key.', ...text },
    trusted_ca_certs: {
      description: 'What modules trust: one reference or a list; file:///path is allowed.',
      anyOf: [text, { type: 'array', items: text }],
    },
  },
} as const;

type Context = Pick<ParseContext, 'report'>;

/** Parses the setting, with the checks that the schema cannot express. */
export function parseCertificates(raw: RawCertificates, context: Context): CertificateReferences {
  return {
    deviceCa: parseAt(context, ['certificates', 'device_ca_cert'], () =>
      parseDeviceCa(raw.device_ca_cert),
    ),
    deviceCaKey: parseDeviceCaKey(raw.device_ca_pk, context),
    trustedCas: trustedCas(raw.trusted_ca_certs, context),
  };
}

function parseDeviceCaKey(key: string | undefined, context: Context): KeyId | undefined {
  if (key === undefined) return undefined;
  return parseAt(context, ['certificates', 'device_ca_pk'], () => parseReference(key, 'key'));
}

function parseDeviceCa(reference: string | undefined): CertificateId | undefined {
  if (reference === undefined) return undefined;
  const parsed = parseCertificate(reference);
  if (parsed.kind === 'file') {
    throw new TypeError('not cert://<id>: a CA that issues is one of the Certificates service');
  }
  return parsed.id;
}

function parseCertificate(reference: string): CertificateReference {
  const file = /^file:\/\/(\/.*)$/.exec(reference)?.[1];
  if (file !== undefined) return { kind: 'file', path: posix.normalize(decodeURI(file)) };
  return { kind: 'id', id: parseReference(reference, 'cert') };
}

function trustedCas(
  references: string | readonly string[] | undefined,
  context: Context,
): readonly CertificateReference[] {
  const path = ['certificates', 'trusted_ca_certs'];
  if (references === undefined) return [];
  if (typeof references === 'string') {
    return [parseAt(context, path, () => parseCertificate(references)) ?? []].flat();
  }
  return references.flatMap(
    (reference, index) =>
      parseAt(context, [...path, index], () => parseCertificate(reference)) ?? [],
  );
}
