/**
 * modules.yaml. `connect` is where a module finds the APIs inside its container, `listen` is where this
 * machine does.
 */
import { hostname as machineName } from 'node:os';
import { posix } from 'node:path';
import {
  type CertificateId,
  isModuleName,
  type ModuleName,
  parseCertificateId,
  parseKeyId,
  parseModuleName,
} from '../ids.ts';
import type { CommonConfig, ParseContext } from '../service/config.ts';
import type { ApiUris, NetworkConfig, RawConfig } from './config-schema.ts';

export { modulesSchema } from './config-schema.ts';

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

/** modules.yaml, checked. */
export interface ModulesConfig extends CommonConfig {
  /** Issues the certificates of modules; undefined leaves the choice to the Certificates service. */
  readonly deviceCa: CertificateId | undefined;
  /** Empty leaves the choice to the Certificates service. */
  readonly trustedCas: readonly CertificateReference[];
  readonly agent: AgentConfig | undefined;
  readonly hostname: string;
  readonly connect: ApiPaths;
  readonly listen: ApiPaths;
  readonly engineSocket: string;
  readonly network: NetworkConfig;
  readonly allowElevated: boolean;
  readonly allowedBinds: readonly string[];
  /** Modules besides edgeHub whose server certificates may name the device. */
  readonly serverNames: readonly ModuleName[];
}

/** Checks what the schema cannot say. */
export function parseModulesConfig(value: unknown, context: ParseContext): ModulesConfig {
  const raw = value as RawConfig; // fits the schema
  const { certificates, network } = raw;
  reportProblems(raw, context);
  return {
    log_level: raw.log_level,
    idle_exit_s: raw.idle_exit_s,
    authorization: raw.authorization,
    grants: raw.grants,
    ...(raw.homedir_path !== undefined && { homedir_path: raw.homedir_path }),
    ...(raw.homedir !== undefined && { homedir: raw.homedir }),
    deviceCa: tryParse(context, ['certificates', 'device_ca_cert'], () =>
      parseDeviceCa(certificates.device_ca_cert),
    ),
    trustedCas: trustedCas(certificates.trusted_ca_certs, context),
    agent: agentOf(raw.agent, context),
    hostname: raw.hostname ?? machineName(),
    connect: pathsOf(raw.connect),
    listen: pathsOf(raw.listen),
    engineSocket: pathOf(raw.moby_runtime.uri),
    network: typeof network === 'string' ? { name: network } : network,
    allowElevated: raw.allow_elevated,
    allowedBinds: raw.allowed_binds.map((path) => posix.normalize(path).replace(/(.)\/$/, '$1')),
    serverNames: raw.server_names.filter(isModuleName).map(parseModuleName),
  };
}

function reportProblems(raw: RawConfig, context: ParseContext): void {
  const connect = pathsOf(raw.connect);
  if (posix.basename(connect.management) === posix.basename(connect.workload)) {
    context.report(['connect', 'workload_uri'], 'the two sockets need different file names');
  }
  for (const [index, name] of raw.server_names.entries()) {
    if (!isModuleName(name)) context.report(['server_names', index], 'not a module name');
  }
  const key = raw.certificates.device_ca_pk;
  if (key === undefined) return;
  const path = ['certificates', 'device_ca_pk'];
  if (/^[a-z0-9+]+:/i.test(key) && !key.startsWith('key://')) {
    context.report(path, 'not key://<id>: only the Keys service reads private keys');
  } else tryParse(context, path, () => parseKeyId(key.replace(/^key:\/\//, '')));
}

function tryParse<T>(
  context: ParseContext,
  path: readonly (string | number)[],
  parse: () => T,
): T | undefined {
  try {
    return parse();
  } catch (error) {
    context.report(path, error instanceof Error ? error.message : 'not understood');
    return undefined;
  }
}

function parseDeviceCa(reference: string | undefined): CertificateId | undefined {
  if (reference === undefined) return undefined;
  const parsed = parseReference(reference);
  if (parsed.kind === 'file') {
    throw new TypeError('not cert://<id>: a CA that issues is one of the Certificates service');
  }
  return parsed.id;
}

function parseReference(reference: string): CertificateReference {
  const file = /^file:\/\/(\/.*)$/.exec(reference)?.[1];
  if (file !== undefined) return { kind: 'file', path: posix.normalize(decodeURI(file)) };
  return { kind: 'id', id: parseCertificateId(reference.replace(/^cert:\/\//, '')) };
}

function trustedCas(
  references: string | readonly string[] | undefined,
  context: ParseContext,
): readonly CertificateReference[] {
  const path = ['certificates', 'trusted_ca_certs'];
  if (references === undefined) return [];
  if (typeof references === 'string') {
    return [tryParse(context, path, () => parseReference(references)) ?? []].flat();
  }
  return references.flatMap(
    (reference, index) =>
      tryParse(context, [...path, index], () => parseReference(reference)) ?? [],
  );
}

function agentOf(raw: RawConfig['agent'], context: ParseContext): AgentConfig | undefined {
  if (raw === undefined) return undefined;
  const name = tryParse(context, ['agent', 'name'], () => parseModuleName(raw.name));
  if (name === undefined) return undefined;
  const env = Object.entries(raw.env).map(([key, value]) => [key, String(value)] as const);
  return { name, type: raw.type, config: raw.config, env: Object.fromEntries(env) };
}

function pathsOf(uris: ApiUris): ApiPaths {
  return { management: pathOf(uris.management_uri), workload: pathOf(uris.workload_uri) };
}

function pathOf(uri: string): string {
  return posix.normalize(uri.replace(/^unix:\/\/(localhost)?/, ''));
}
