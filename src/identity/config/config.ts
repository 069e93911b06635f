import { isModuleName, parseReference } from '../../ids.ts';
import { quoted } from '../../quoted.ts';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import { filePathOf, listOf } from '../../service/config/file-path.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import type { Schema } from '../../service/config/schema-validator.ts';
import { isHostAndPort } from './host-and-port.ts';

/** Registration with the Device Provisioning Service, attested by a client certificate. */
export interface DpsSettings {
  readonly scopeId: string;
  /** Default: the common name of the certificate. */
  readonly registrationId: string | undefined;
  /** Undefined when the certificate is in a file. */
  readonly certificateId: string | undefined;
  /** The file of a certificate that is not in the Certificates service. */
  readonly certificateFile?: string;
  readonly keyId: string;
  /** The provisioning service that assigns the device, however it is reached. */
  readonly globalEndpoint: string;
  /** Where requests to the provisioning service are sent: the gateway, unless `global_endpoint` is set. */
  readonly endpoint: string;
  /** `host[:port]` to connect to in place of the hub; undefined when that is reached directly. */
  readonly gatewayHostname?: string;
  /** The version of the API with which the service issues the device's certificate; undefined when it does not. */
  readonly issuance?: string;
}

/** Settings of the connection to the cloud. */
export interface CloudSettings {
  /** Files of trusted roots, PEM or DER; without any, those of the system are trusted. */
  readonly trustedCa: readonly string[];
  readonly timeoutMs: number;
  readonly proxy: string | undefined;
}

/** `identity.yaml`, parsed. */
export interface IdentityConfig extends CommonConfig {
  /** Absent: the device stays unprovisioned. */
  readonly dps: DpsSettings | undefined;
  readonly cloud: CloudSettings;
  /** The identity of each uid: a module id, or `` for the device. */
  readonly principals: ReadonlyMap<number, string>;
}

const text = { type: 'string', minLength: 1 };

/** The JSON schema of `identity.yaml`. */
export const identitySchema = {
  $id: 'https://iotedge.example/schema/identity.schema.json',
  title: 'identity.yaml',
  type: 'object',
  properties: {
    ...commonProperties,
    provisioning: {
      description: 'How the device gets its identity; absent: it has none.',
      type: 'object',
      properties: {
        source: { description: 'Where the identity comes from.', type: 'string', enum: ['dps'] },
        scope_id: { ...text, description: 'The id scope of the provisioning service.' },
        registration_id: { ...text, description: 'Default: the common name of identity_cert.' },
        global_endpoint: {
          description:
            'The provisioning service; default: that behind gateway_hostname, else the public one.',
          type: 'string',
          pattern: '^https://[^/?#]+/?$',
        },
        gateway_hostname: {
          ...text,
          description: 'host[:port] of the gateway that this device is below; absent: none.',
        },
        certificate_api_version: {
          description:
            "The version of the service's API with which it issues iotedge/device-identity, the certificate for the hub; absent: it issues none.",
          type: 'string',
          enum: ['2021-11-01-preview', '2025-07-01-preview'],
        },
        attestation: {
          description: 'How the device proves which it is.',
          type: 'object',
          properties: {
            method: { type: 'string', enum: ['x509'] },
            identity_cert: {
              ...text,
              description: 'cert://<id> in the Certificates service, or file:///path.',
            },
            identity_pk: { ...text, description: 'key://<id> in the Keys service.' },
          },
          required: ['method', 'identity_cert', 'identity_pk'],
          additionalProperties: false,
        },
      },
      required: ['source', 'scope_id', 'attestation'],
      additionalProperties: false,
    },
    cloud: {
      description: 'How the cloud is reached.',
      type: 'object',
      properties: {
        trusted_ca: {
          description: 'Files of roots, PEM or DER, to trust in place of the public ones.',
          anyOf: [text, { type: 'array', items: text }],
        },
        timeout_s: {
          description: 'For one request.',
          type: 'number',
          minimum: 1,
          maximum: 600,
          default: 70,
        },
        proxy: { description: 'http:// URL of a proxy.', type: 'string', pattern: '^https?://' },
      },
      additionalProperties: false,
    },
    principals: {
      description: 'Local users that have an identity, by a name of your choice.',
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: {
          uid: { type: 'integer', minimum: 0 },
          module_id: { type: 'string', description: 'Absent or empty: the device.' },
        },
        required: ['uid'],
        additionalProperties: false,
      },
    },
  },
  additionalProperties: false,
} as const satisfies Schema;

/** The shape that the schema guarantees. */
interface IdentityYaml extends CommonConfig {
  readonly provisioning?: {
    readonly scope_id: string;
    readonly registration_id?: string;
    readonly global_endpoint?: string;
    readonly gateway_hostname?: string;
    readonly certificate_api_version?: string;
    readonly attestation: { readonly identity_cert: string; readonly identity_pk: string };
  };
  readonly cloud?: {
    readonly trusted_ca?: string | readonly string[];
    readonly timeout_s?: number;
    readonly proxy?: string;
  };
  readonly principals?: Readonly<
    Record<string, { readonly uid: number; readonly module_id?: string }>
  >;
}

const defaultTimeoutS = 70;
const publicEndpoint = 'https://global.azure-devices-provisioning.net';

/** Parses a value that the schema has accepted. */
export function parseIdentityConfig(value: unknown, context: ParseContext): IdentityConfig {
  const yaml = value as IdentityYaml; // checked by the schema
  const { trusted_ca: trusted = [], timeout_s: timeout, proxy } = yaml.cloud ?? {};
  const principals = parsePrincipals(yaml.principals ?? {}, context);
  if (proxy !== undefined) checkProxy(proxy, context);
  const roots = listOf(trusted).map((text, at) => {
    const path = filePathOf(text);
    if (path !== undefined) return path;
    const place = typeof trusted === 'string' ? [] : [at];
    context.report(['cloud', 'trusted_ca', ...place], 'not the absolute path of a file');
    return text;
  });
  return {
    ...yaml,
    grants: [...yaml.grants, ...[...principals].map(grantOf)],
    dps: parseDps(yaml.provisioning, context),
    cloud: {
      trustedCa: roots,
      timeoutMs: (timeout ?? defaultTimeoutS) * 1000,
      proxy,
    },
    principals,
  };
}

/** Checks a URL completely: the patterns of the schema cover its beginning only. */
function checkUrl(
  text: string,
  path: readonly string[],
  { report }: Pick<ParseContext, 'report'>,
): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) report(path, 'not a URL');
  return url;
}

function checkProxy(text: string, context: Pick<ParseContext, 'report'>): void {
  const path = ['cloud', 'proxy'];
  const url = checkUrl(text, path, context);
  try {
    // they are decoded before they are sent
    decodeURIComponent(`${url?.username}:${url?.password}`);
  } catch {
    context.report(path, 'has a user or password with a bad escape: write % as %25');
  }
}

function parsePrincipals(
  named: NonNullable<IdentityYaml['principals']>,
  context: ParseContext,
): ReadonlyMap<number, string> {
  const principals = new Map<number, string>();
  for (const [name, { uid, module_id: moduleId = '' }] of Object.entries(named)) {
    if (moduleId !== '' && !isModuleName(moduleId)) {
      context.report(['principals', name, 'module_id'], `${quoted(moduleId)} is not a module id`);
    }
    if (principals.has(uid))
      context.report(['principals', name, 'uid'], `uid ${uid} has an identity above`);
    principals.set(uid, moduleId);
  }
  return principals;
}

/** Grants a user with an identity tokens for it, and nothing more. */
function grantOf([uid, moduleId]: readonly [number, string]): CommonConfig['grants'][number] {
  const action = moduleId === '' ? 'sign-device' : 'sign';
  const actions = [`org.iotedge.identity1.${action}`];
  return { user: String(uid), actions, match: { module_id: moduleId } };
}

function parseDps(
  provisioning: IdentityYaml['provisioning'],
  context: ParseContext,
): DpsSettings | undefined {
  if (provisioning === undefined) return undefined;
  const { scope_id: scopeId, registration_id: registrationId, attestation } = provisioning;
  const { global_endpoint: configured, gateway_hostname: gateway } = provisioning;
  const { certificate_api_version: issuance } = provisioning;
  if (configured !== undefined) checkEndpoint(configured, context);
  if (gateway !== undefined && !isHostAndPort(gateway)) {
    context.report(['provisioning', 'gateway_hostname'], 'not a host name, nor one with :port');
  }
  const globalEndpoint = configured?.replace(/\/$/, '') ?? publicEndpoint;
  const isBehindGateway = configured === undefined && gateway !== undefined;
  const certificateFile = fileOf(attestation.identity_cert, context);
  return {
    scopeId,
    registrationId,
    certificateId:
      certificateFile === undefined
        ? referenceOf(attestation, 'identity_cert', context)
        : undefined,
    ...(certificateFile !== undefined && { certificateFile }),
    keyId: referenceOf(attestation, 'identity_pk', context),
    globalEndpoint,
    endpoint: isBehindGateway ? `https://${gateway}` : globalEndpoint,
    ...(gateway !== undefined && { gatewayHostname: gateway }),
    ...(issuance !== undefined && { issuance }),
  };
}

function checkEndpoint(text: string, context: ParseContext): void {
  const path = ['provisioning', 'global_endpoint'];
  const url = checkUrl(text, path, context);
  if (url !== undefined && url.username + url.password !== '') {
    context.report(path, 'has a user or password, which is never sent');
  }
}

type Attestation = NonNullable<IdentityYaml['provisioning']>['attestation'];
const references = { identity_cert: 'cert', identity_pk: 'key' } as const;

function referenceOf(
  attestation: Attestation,
  name: keyof typeof references,
  context: ParseContext,
): string {
  const path = ['provisioning', 'attestation', name];
  return parseAt(context, path, () => parseReference(attestation[name], references[name])) ?? '';
}

/** The path of a reference to a file; undefined for a reference to an id. */
function fileOf(reference: string, context: ParseContext): string | undefined {
  if (!/^\s*file:/i.test(reference)) return undefined;
  const path = filePathOf(reference);
  if (path === undefined) {
    const place = ['provisioning', 'attestation', 'identity_cert'];
    context.report(place, `${quoted(reference)} names no file: write file:///path`);
  }
  return path ?? '';
}
