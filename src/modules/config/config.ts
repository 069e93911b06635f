/**
 * modules.yaml. `connect` is where a module finds the APIs inside its container, `listen` is where this
 * machine does.
 */
import { posix } from 'node:path';
import {
  type CertificateId,
  type ModuleName,
  parseCertificateId,
  parseModuleName,
  parseReference,
} from '../../ids.ts';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import { type ParseContext, parseAt } from '../../service/config/parse-context.ts';
import type { Schema } from '../../service/config/schema-validator.ts';
import {
  type ConfinementConfig,
  confinementProperties,
  parseConfinement,
  parseHostname,
  type RawConfinement,
} from '../docker/confinement/settings.ts';
import { judgeAgent } from './agent-settings.ts';
import {
  type NetworkConfig,
  networkSchema,
  parseNetwork,
  type RawNetwork,
} from './network-config.ts';

export type { NetworkConfig } from './network-config.ts';

/** A certificate by its id in the Certificates service, or in a file. */
export type CertificateReference =
  | { readonly kind: 'id'; readonly id: CertificateId }
  | { readonly kind: 'file'; readonly path: string };

/** The two APIs as absolute paths of unix sockets. */
export interface ApiPaths {
  readonly management: string;
  readonly workload: string;
}

/** The module that manages the others. */
export interface AgentConfig {
  readonly name: ModuleName;
  readonly type: 'docker';
  /** What ModuleSpec calls `settings`. */
  readonly config: unknown;
  readonly env: Readonly<Record<string, string>>;
}

/** Kinds of keys that modules get with their certificates; older clients read RSA alone. */
export const moduleKeys = ['rsa-2048', 'ec-p256'] as const;

/** One of them. */
export type ModuleKey = (typeof moduleKeys)[number];

/** modules.yaml, checked. */
export interface ModulesConfig extends CommonConfig, ConfinementConfig {
  /** Issues the certificates of modules; undefined leaves the choice to the Certificates service. */
  readonly deviceCa: CertificateId | undefined;
  /** The key of that CA, as the configuration names it. */
  readonly deviceCaKey: string | undefined;
  /** Empty leaves the choice to the Certificates service. */
  readonly trustedCas: readonly CertificateReference[];
  readonly agent: AgentConfig | undefined;
  readonly hostname: string;
  readonly connect: ApiPaths;
  readonly listen: ApiPaths;
  readonly engineSocket: string;
  readonly network: NetworkConfig;
  /** The keys of modules' certificates. */
  readonly moduleKey: ModuleKey;
}

const text = { type: 'string', minLength: 1 } as const;
const socketUri = { type: 'string', pattern: '^unix://(localhost)?/[^\\0]+$' } as const;
const defaultUris = {
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock',
  workload_uri: 'unix:///var/lib/iotedge/workload.sock',
};

function apis(description: string): object {
  return {
    description,
    type: 'object',
    additionalProperties: false,
    default: {},
    properties: {
      management_uri: {
        description: 'The management API, unix:///path.',
        ...socketUri,
        default: defaultUris.management_uri,
      },
      workload_uri: {
        description: 'The workload API, unix:///path.',
        ...socketUri,
        default: defaultUris.workload_uri,
      },
    },
  };
}

const agentSchema = {
  description: 'The module that manages the others. Without it only D-Bus callers do.',
  type: 'object',
  additionalProperties: false,
  required: ['config'],
  properties: {
    name: { description: 'Its name.', ...text, default: 'edgeAgent' },
    type: { description: 'What runs it.', type: 'string', enum: ['docker'], default: 'docker' },
    config: {
      description: 'Its container.',
      type: 'object',
      additionalProperties: false,
      required: ['image'],
      properties: {
        image: { description: 'Image reference.', ...text },
        createOptions: {
          description: "The engine's create request, as an object or as its JSON text.",
          type: ['object', 'string'],
        },
        digest: { description: 'What the image must be: sha256:….', type: 'string' },
        imagePullPolicy: {
          description: 'When the registry is asked for the image: on-create or never.',
          type: 'string',
        },
        restart_policy: {
          description: 'When it starts again: always, on-failure, on-unhealthy or never.',
          type: 'string',
        },
        auth: {
          description: 'Credentials for the registry.',
          type: 'object',
          additionalProperties: false,
          properties: {
            serveraddress: { description: 'Host of the registry.', type: 'string' },
            username: { description: 'User name.', type: 'string' },
            password: { description: 'Password.', type: 'string' },
            email: { description: 'Mail address.', type: 'string' },
          },
        },
      },
    },
    env: {
      description: 'Environment of the agent: numbers and the like keep the text of the file.',
      type: 'object',
      textValues: true,
      additionalProperties: { type: ['string', 'number', 'boolean'] },
      default: {},
    },
  },
} as const;

/** JSON schema of modules.yaml. */
export const modulesSchema = {
  $id: 'iotedge:modules',
  type: 'object',
  additionalProperties: false,
  properties: {
    ...commonProperties,
    certificates: {
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
    },
    agent: agentSchema,
    hostname: { description: 'The name that modules know this device by.', ...text },
    module_key: {
      description:
        "The keys that are made for modules' certificates; older clients read RSA alone.",
      type: 'string',
      enum: [...moduleKeys],
      default: 'rsa-2048',
    },
    connect: apis('Where modules find the APIs, inside their containers.'),
    listen: apis('Where this machine finds the APIs.'),
    moby_runtime: {
      description: 'The container engine.',
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        uri: {
          description: 'Its API, unix:///path.',
          ...socketUri,
          default: 'unix:///var/run/docker.sock',
        },
      },
    },
    network: networkSchema,
    ...confinementProperties,
  },
} as const satisfies Schema;

/** What the schema leaves to be read further. */
interface RawConfig extends CommonConfig, RawConfinement {
  readonly certificates: {
    readonly device_ca_cert?: string;
    readonly device_ca_pk?: string;
    readonly trusted_ca_certs?: string | readonly string[];
  };
  readonly agent?: {
    readonly name: string;
    readonly type: 'docker';
    readonly config: object;
    readonly env: Readonly<Record<string, string>>;
  };
  readonly hostname?: string;
  readonly module_key: ModuleKey;
  readonly connect: typeof defaultUris;
  readonly listen: typeof defaultUris;
  readonly moby_runtime: { readonly uri: string };
  readonly network: RawNetwork;
}

/** Checks what the schema cannot say. */
export function parseModulesConfig(value: unknown, context: ParseContext): ModulesConfig {
  const raw = value as RawConfig; // fits the schema
  const { certificates } = raw;
  reportProblems(raw, context);
  const config = {
    log_level: raw.log_level,
    idle_exit_s: raw.idle_exit_s,
    authorization: raw.authorization,
    grants: raw.grants,
    ...(raw.homedir_path !== undefined && { homedir_path: raw.homedir_path }),
    ...(raw.homedir !== undefined && { homedir: raw.homedir }),
    deviceCa: parseAt(context, ['certificates', 'device_ca_cert'], () =>
      parseDeviceCa(certificates.device_ca_cert),
    ),
    deviceCaKey: deviceCaKey(certificates.device_ca_pk, context),
    trustedCas: trustedCas(certificates.trusted_ca_certs, context),
    agent: agentOf(raw.agent, context),
    hostname: parseHostname(raw.hostname, context),
    moduleKey: raw.module_key,
    connect: pathsOf(raw.connect),
    listen: pathsOf(raw.listen),
    engineSocket: pathOf(raw.moby_runtime.uri),
    network: parseNetwork(raw.network, context),
    ...parseConfinement(raw, context),
  };
  if (raw.agent !== undefined) judgeAgent(raw.agent, config, context);
  return config;
}

function reportProblems(raw: RawConfig, context: ParseContext): void {
  const connect = pathsOf(raw.connect);
  if (posix.basename(connect.management) === posix.basename(connect.workload)) {
    context.report(['connect', 'workload_uri'], 'the two sockets need different file names');
  }
  const { listen } = raw;
  const sockets = { engine: pathOf(raw.moby_runtime.uri), ...pathsOf(listen) };
  if (sockets.management === sockets.workload) {
    context.report(['listen', 'workload_uri'], 'is the socket of the management API');
  }
  for (const api of ['management', 'workload'] as const) {
    const engine = 'is the socket of the container engine';
    if (sockets[api] === sockets.engine) context.report(['listen', `${api}_uri`], engine);
    if (connect[api] === sockets.engine) context.report(['connect', `${api}_uri`], engine);
  }
}

function deviceCaKey(key: string | undefined, context: ParseContext): string | undefined {
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
  return { kind: 'id', id: parseCertificateId(parseReference(reference, 'cert')) };
}

function trustedCas(
  references: string | readonly string[] | undefined,
  context: ParseContext,
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

function agentOf(raw: RawConfig['agent'], context: ParseContext): AgentConfig | undefined {
  if (raw === undefined) return undefined;
  const name = parseAt(context, ['agent', 'name'], () => parseModuleName(raw.name));
  if (name === undefined) return undefined;
  return { name, type: raw.type, config: raw.config, env: raw.env };
}

function pathsOf(uris: typeof defaultUris): ApiPaths {
  return { management: pathOf(uris.management_uri), workload: pathOf(uris.workload_uri) };
}

function pathOf(uri: string): string {
  return posix.normalize(uri.replace(/^unix:\/\/(localhost)?/, ''));
}
