/**
 * Names of modules and of the device on the network of modules. Each belongs to one of them: a module that a user may run
 * must not impersonate another one, nor the parent of this device.
 */
import { hostname as machineName } from 'node:os';
import { ServiceError } from '../errors.ts';
import { isId, type ModuleName } from '../ids.ts';
import { quoted } from '../quoted.ts';
import { certificateIdOf } from './api/workload/module-certificate.ts';
import type { ModulesConfig } from './config/config.ts';
import {
  hostOf,
  isAscii,
  isLabel,
  plainName,
  sameName,
  withFirstLabel,
} from './docker/confinement/host-name.ts';
import { aliasesOf } from './docker/container-body.ts';
import { memberObject } from './docker/create-options/create-options.ts';
import type { ModuleSource } from './module-source.ts';

type NamesConfig = Pick<ModulesConfig, 'agent' | 'hostname' | 'serverNames'>;
type Named = Pick<ModuleSource, 'name' | 'settings'>;

/** The hub and the parent of this device, as the Identity service reports them. */
export interface Upstream {
  readonly hub_hostname: string;
  readonly gateway_hostname: string;
  readonly device_id: string;
}

// the engine's rule for names of containers
const containerPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]+$/;
const longestName = 253;
const hostnameLength = 12;
const provisioningService = 'global.azure-devices-provisioning.net';

/** The names that the configuration gives a module besides its own. */
export function grantedNames(
  name: ModuleName,
  { hostname, serverNames }: Pick<NamesConfig, 'hostname' | 'serverNames'>,
): readonly string[] {
  return [...(name === 'edgeHub' ? [hostname] : []), ...(serverNames.get(name) ?? [])];
}

/** The module that existing agents run as. */
const agentId = 'edgeAgent';

/** InvalidArgs for a name that no container, or no certificate of a module, can have. */
export function refuseUnusable(name: ModuleName): void {
  if (containerPattern.test(name) && isId(certificateIdOf(name, 'identity'))) return;
  const rule = '2 to 104 letters, digits and . _ -, the first a letter or a digit';
  throw new ServiceError(
    'InvalidArgs',
    `no container can be named ${quoted(name)}: it has ${rule}`,
  );
}

/** AlreadyExists for a module that would have a name of another one. */
export function refuseTaken(source: Named, others: readonly Named[], config: NamesConfig): void {
  const taken = takenNames(source.name, others, config);
  for (const name of namesOf(source)) {
    if (taken(name)) throw alreadyKnown(source.name, name, 'is taken');
  }
}

/**
 * AlreadyExists for a module that would have a name of the hub, of the parent, of the device or of the agent, AccessDenied
 * for one that would have a name of the network outside.
 */
export function refuseNames(source: Named, config: NamesConfig, upstream?: Upstream): void {
  // otherwise a module of another user would get the management socket when modules.yaml names an agent later
  if (source.name === agentId && config.agent?.name !== agentId) {
    throw alreadyKnown(source.name, source.name, 'is the agent, which only modules.yaml names');
  }
  const granted = plainNames(grantedNames(source.name, config));
  const reserved = reservedNames(config, upstream);
  for (const name of namesOf(source)) {
    // a hub may have one of these names
    if (isSystem(source.name, config) && sameName(name, source.name)) continue;
    if (granted.has(plainName(name))) continue;
    if (reserved.has(plainName(name))) {
      throw alreadyKnown(source.name, name, 'stands for the device or for what is above it');
    }
    if (!isLabel(name) && (name !== source.name || name.includes('.'))) {
      throw notGranted(source.name, name);
    }
  }
}

/** Whether a name belongs to this module alone, so that it may have a certificate for it. */
export function mayBeCertified(
  name: string,
  {
    source,
    others,
    config,
    upstream,
    hostname,
  }: {
    readonly source: Named;
    readonly others: readonly Named[];
    readonly config: NamesConfig;
    readonly upstream: Upstream;
    /** The one that the engine generated for its container. */
    readonly hostname: string | undefined;
  },
): boolean {
  if (name.length > longestName || !isAscii(name)) return false;
  if (takenNames(source.name, others, config)(name)) return false;
  if (plainNames(grantedNames(source.name, config)).has(plainName(name))) return true;
  const isOwn = plainNames([...namesOf(source), hostname ?? '']).has(plainName(name));
  const isReserved = reservedNames(config, upstream).has(plainName(name));
  return isOwn && isLabel(plainName(name)) && (!isReserved || isSystem(source.name, config));
}

function isSystem(name: ModuleName, { agent }: Pick<NamesConfig, 'agent'>): boolean {
  return name === agentId || name === 'edgeHub' || name === agent?.name;
}

/** Whether other modules have a name. One that the configuration gives to several is free to each of them. */
function takenNames(
  module: ModuleName,
  others: readonly Named[],
  config: NamesConfig,
): (name: string) => boolean {
  const { agent, serverNames } = config;
  const rest = others.filter((other) => other.name !== module);
  const names = ['edgeAgent', 'edgeHub', agent?.name ?? '', ...serverNames.keys()];
  const own = plainNames(
    [...names, ...rest.map((other) => other.name)].filter((one) => one !== module),
  );
  const given = [...serverNames].flatMap(([owner, list]) => (owner === module ? [] : list));
  const known = plainNames([...given, ...rest.flatMap(namesOf)]);
  const granted = plainNames(grantedNames(module, config));
  return (name) => {
    const plain = plainName(name);
    return own.has(plain) || (known.has(plain) && !granted.has(plain));
  };
}

function plainNames(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.filter(Boolean).map(plainName));
}

/** The names of the device, the hub and the parent, including those by which its resolver would find them. */
function reservedNames(
  { hostname }: NamesConfig,
  upstream: Upstream | undefined,
): ReadonlySet<string> {
  const { hub_hostname = '', gateway_hostname = '', device_id = '' } = { ...upstream };
  const hosts = [hostname, machineName(), hostOf(hub_hostname), hostOf(gateway_hostname)];
  const named = [...hosts, provisioningService].flatMap(withFirstLabel);
  return plainNames([...named, device_id, 'localhost']);
}

function notGranted(module: ModuleName, name: string): ServiceError {
  const shown = quoted(name);
  const text = `module ${JSON.stringify(module)} cannot be known as ${shown}, which is not one DNS label and is not in server_names`;
  return new ServiceError('AccessDenied', text);
}

function alreadyKnown(module: ModuleName, name: string, why: string): ServiceError {
  const shown = quoted(name);
  const text = `module ${JSON.stringify(module)} cannot be known as ${shown}, which ${why}`;
  return new ServiceError('AlreadyExists', text);
}

/** The names that the engine resolves to a module's container. */
export function namesOf({ name, settings }: Named): readonly string[] {
  const { createOptions, aliases = [] } = settings;
  const { Hostname: hostname, Domainname: domain } = { ...createOptions };
  const own = typeof hostname === 'string' ? hostname : '';
  const full = typeof domain === 'string' && domain !== '' ? `${own || name}.${domain}` : '';
  return [name, ...aliases, ...aliasesOf(createOptions), own, full].filter(Boolean);
}

/** The host name that the engine gives a container whose create options have none: the beginning of its id. */
export function generatedHostname(
  { settings: { createOptions } }: Named,
  containerId: string | undefined,
): string | undefined {
  const { NetworkMode: network, UTSMode: uts } = memberObject(createOptions, 'HostConfig');
  // then it has the name of the machine, or of another container
  const shares = typeof network === 'string' && /^(host$|container:)/.test(network);
  const isShared = uts === 'host' || shares;
  const { Hostname: own = '' } = { ...createOptions };
  return own === '' && !isShared ? containerId?.slice(0, hostnameLength) : undefined;
}
