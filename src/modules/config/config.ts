/**
 * modules.yaml. `connect` locates the APIs inside the container of a module, `listen` on this machine.
 */
import { posix } from 'node:path';
import { type CommonConfig, commonProperties } from '../../service/config/common-config.ts';
import type { ParseContext } from '../../service/config/parse-context.ts';
import type { Schema } from '../../service/config/schema-validator.ts';
import {
  type AgentConfig,
  agentSchema,
  checkAgent,
  parseAgent,
  type RawAgent,
} from './agent-config.ts';
import {
  type CertificateReferences,
  certificatesSchema,
  parseCertificates,
  type RawCertificates,
} from './certificate-references.ts';
import {
  type ConfinementConfig,
  confinementProperties,
  parseConfinement,
  parseHostname,
  type RawConfinement,
  warnAboutNames,
} from './confinement-config.ts';
import {
  type HousekeepingConfig,
  housekeepingProperties,
  parseHousekeeping,
  type RawHousekeeping,
} from './housekeeping-config.ts';
import {
  type NetworkConfig,
  networkSchema,
  parseNetwork,
  type RawNetwork,
} from './network-config.ts';

/** The two APIs as absolute paths of unix sockets. */
export interface ApiPaths {
  readonly management: string;
  readonly workload: string;
}

/** Kinds of keys for modules' certificates; older clients only support RSA. */
export const moduleKeys = ['rsa-2048', 'ec-p256'] as const;

/** The kind of a module's key. */
export type ModuleKey = (typeof moduleKeys)[number];

/** What may happen to running modules when the service stops. */
export const onStops = ['leave', 'stop'] as const;
export type OnStop = (typeof onStops)[number];

/** The parsed modules.yaml. */
export interface ModulesConfig
  extends CommonConfig,
    CertificateReferences,
    ConfinementConfig,
    HousekeepingConfig {
  readonly agent: AgentConfig | undefined;
  readonly hostname: string;
  readonly connect: ApiPaths;
  readonly listen: ApiPaths;
  readonly engineSocket: string;
  readonly network: NetworkConfig;
  /** The kind of key of modules' certificates. */
  readonly moduleKey: ModuleKey;
  /** What happens to running modules when the service stops. */
  readonly onStop: OnStop;
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

/** JSON schema of modules.yaml. */
export const modulesSchema = {
  $id: 'iotedge:modules',
  type: 'object',
  additionalProperties: false,
  properties: {
    ...commonProperties,
    certificates: certificatesSchema,
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
    on_stop: {
      description:
        'What happens to modules when the service stops: leave lets them run, stop stops them in reverse order.',
      type: 'string',
      enum: [...onStops],
      default: 'leave',
    },
    ...housekeepingProperties,
    ...confinementProperties,
  },
} as const satisfies Schema;

/** The configuration, valid by the schema but not yet parsed. */
interface RawConfig extends CommonConfig, RawConfinement, RawHousekeeping {
  readonly certificates: RawCertificates;
  readonly agent?: RawAgent;
  readonly hostname?: string;
  readonly module_key: ModuleKey;
  readonly on_stop: OnStop;
  readonly connect: typeof defaultUris;
  readonly listen: typeof defaultUris;
  readonly moby_runtime: { readonly uri: string };
  readonly network: RawNetwork;
}

/** Parses the configuration, with the checks that the schema cannot express. */
export function parseModulesConfig(value: unknown, context: ParseContext): ModulesConfig {
  const raw = value as RawConfig; // fits the schema
  reportProblems(raw, context);
  const config = {
    log_level: raw.log_level,
    idle_exit_s: raw.idle_exit_s,
    authorization: raw.authorization,
    grants: raw.grants,
    ...(raw.homedir_path !== undefined && { homedir_path: raw.homedir_path }),
    ...(raw.homedir !== undefined && { homedir: raw.homedir }),
    ...parseCertificates(raw.certificates, context),
    agent: parseAgent(raw.agent, context),
    hostname: parseHostname(raw.hostname, context),
    moduleKey: raw.module_key,
    onStop: raw.on_stop,
    connect: pathsOf(raw.connect),
    listen: pathsOf(raw.listen),
    engineSocket: pathOf(raw.moby_runtime.uri),
    network: parseNetwork(raw.network, context),
    ...parseHousekeeping(raw),
    ...parseConfinement(raw, context),
  };
  if (raw.agent !== undefined) checkAgent(raw.agent, config, context);
  warnAboutSockets(config, context);
  warnAboutNames(config, context);
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

/** Warns when `connect` and `listen` differ, which is usually a mistake. */
function warnAboutSockets(
  { connect, listen }: Pick<ModulesConfig, 'connect' | 'listen'>,
  context: Pick<ParseContext, 'warnAt'>,
): void {
  if (listen.management === listen.workload) return; // refused
  for (const api of ['management', 'workload'] as const) {
    if (connect[api] === listen[api]) continue;
    const text = `modules look for the ${api} API at ${connect[api]}, and listen.${api}_uri offers it to this machine at ${listen[api]}`;
    context.warnAt(['connect', `${api}_uri`], text);
  }
}

function pathsOf(uris: typeof defaultUris): ApiPaths {
  return { management: pathOf(uris.management_uri), workload: pathOf(uris.workload_uri) };
}

function pathOf(uri: string): string {
  return posix.normalize(uri.replace(/^unix:\/\/(localhost)?/, ''));
}
