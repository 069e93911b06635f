import { memberArray, memberObject } from './create-options/create-options.ts';
import { jsonDigest } from './digest.ts';
import type { JsonObject } from './engine/container-engine.ts';
import { digestLabel, imageLabel, moduleLabel, owner, ownerLabel } from './labels.ts';

/** The parts of a create request. */
export interface ContainerSource {
  /** Of the module. */
  readonly name: string;
  readonly image: string;
  /** As the user wrote them, without the mounts that are added here. */
  readonly createOptions: JsonObject;
  /** Variables of the runtime; those of `env` take precedence, and those of create options over both. */
  readonly environment: Readonly<Record<string, string>>;
  /** Variables of the runtime that nothing takes precedence over; undefined for one that the module does not have. */
  readonly fixed?: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string>>;
  /** Names on the network besides the container's own. */
  readonly aliases: readonly string[];
  readonly network: string;
  /** The directory with the module's sockets, and where it appears in the container. */
  readonly sockets: { readonly source: string; readonly targets: readonly string[] };
}

/** The create request for a module's container, and a digest that changes with it. */
export interface ContainerBody {
  readonly body: JsonObject;
  readonly digest: string;
}

/** The create request of a module. */
export function containerBody(source: ContainerSource): ContainerBody {
  const labels = {
    ...memberObject(source.createOptions, 'Labels'),
    [ownerLabel]: owner,
    [imageLabel]: source.image,
  };
  const body = {
    ...source.createOptions,
    ...networkOf(source),
    Image: source.image,
    Env: environmentOf(source),
    HostConfig: hostConfigOf(source),
  };
  const digest = jsonDigest({ ...body, Labels: labels });
  const own = { [digestLabel]: digest, [moduleLabel]: source.name };
  return { body: { ...body, Labels: { ...labels, ...own } }, digest };
}

function environmentOf(source: ContainerSource): readonly string[] {
  const { createOptions, environment, env, fixed = {} } = source;
  const variables = new Map<string, string>();
  const put = (values: Readonly<Record<string, string>>): void => {
    for (const [key, value] of Object.entries(values)) variables.set(key, `${key}=${value}`);
  };
  put(environment);
  put(env);
  for (const line of memberArray(createOptions, 'Env')) {
    if (typeof line === 'string') variables.set(line.split('=', 1)[0] ?? '', line);
  }
  for (const [key, value] of Object.entries(fixed)) {
    if (value === undefined) variables.delete(key);
    else put({ [key]: value });
  }
  return [...variables.values()].toSorted();
}

/** Whether the container is on the modules' network: unless its create options name another. */
function joinsNetwork({ createOptions, network }: ContainerSource): boolean {
  const mode = memberObject(createOptions, 'HostConfig')['NetworkMode'];
  const endpoints = memberObject(
    memberObject(createOptions, 'NetworkingConfig'),
    'EndpointsConfig',
  );
  const free = mode === undefined || mode === '' || mode === 'default';
  const named = Object.keys(endpoints);
  return mode === network || (free && (named.length === 0 || named.includes(network)));
}

function hostConfigOf(source: ContainerSource): JsonObject {
  const hostConfig = memberObject(source.createOptions, 'HostConfig');
  const mounts = source.sockets.targets.map((Target) => ({
    Type: 'bind',
    Source: source.sockets.source,
    Target,
    ReadOnly: true,
  }));
  return {
    ...hostConfig,
    ...(joinsNetwork(source) && { NetworkMode: source.network }),
    Mounts: [...memberArray(hostConfig, 'Mounts'), ...mounts],
  };
}

function networkOf(source: ContainerSource): JsonObject {
  const { aliases, createOptions, network } = source;
  if (aliases.length === 0 || !joinsNetwork(source)) return {};
  const networking = memberObject(createOptions, 'NetworkingConfig');
  const endpoints = memberObject(networking, 'EndpointsConfig');
  const endpoint = memberObject(endpoints, network);
  const all = new Set([...memberArray(endpoint, 'Aliases'), ...aliases]);
  return {
    NetworkingConfig: {
      ...networking,
      EndpointsConfig: { ...endpoints, [network]: { ...endpoint, Aliases: [...all] } },
    },
  };
}

/** The names that create options give a container on any network. */
export function aliasesOf(createOptions: JsonObject): readonly string[] {
  const networking = memberObject(createOptions, 'NetworkingConfig');
  const endpoints = memberObject(networking, 'EndpointsConfig');
  return Object.keys(endpoints)
    .flatMap((network) => memberArray(memberObject(endpoints, network), 'Aliases'))
    .filter((alias): alias is string => typeof alias === 'string');
}

/** The public part of create options: without environment and labels, in any case of letters that the engine accepts. */
export function publicCreateOptions(createOptions: JsonObject): JsonObject {
  const isShown = ([key]: readonly [string, unknown]) => !/^(env|labels)$/iu.test(key);
  return Object.fromEntries(Object.entries(createOptions).filter(isShown));
}
