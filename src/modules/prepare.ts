import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ServiceError } from '../errors.ts';
import { type ModuleName, moduleIdOf } from '../ids.ts';
import type { ModulesConfig } from './config.ts';
import { containerBody, socketTargets } from './container-body.ts';
import {
  elevationReasons,
  type ModuleSettings,
  memberObject,
  type Validate,
  withoutMountsOf,
} from './create-options.ts';
import type { JsonObject } from './engine.ts';
import { moduleEnvironment } from './environment.ts';
import type { Prepared } from './goal.ts';
import type { Identities } from './identities.ts';

/** What is needed to tell whether a module may be made. */
export interface ElevationParts {
  readonly config: Pick<
    ModulesConfig,
    'allowElevated' | 'allowedBinds' | 'connect' | 'listen' | 'network'
  >;
  /** Against `createOptionsSchema`. */
  readonly validate: Validate;
}

/** What is needed to turn a module's settings into a container. */
export interface PrepareParts extends ElevationParts {
  readonly config: ElevationParts['config'] & Pick<ModulesConfig, 'agent' | 'hostname'>;
  readonly identities: Pick<Identities, 'ensure'>;
  readonly socketsPath: string;
}

/** A module as somebody configured it. */
export interface ModuleSource {
  readonly name: ModuleName;
  readonly settings: ModuleSettings;
  readonly env: Readonly<Record<string, string>>;
  /** Whether whoever decided that it may be made was told that it is elevated, or could see it as with the agent. */
  readonly elevated: boolean;
}

/** Everything that the engine needs for a module; registers the module's identity if it has none. */
export async function prepare(
  parts: PrepareParts,
  source: ModuleSource,
  signal: AbortSignal,
): Promise<Prepared> {
  const { config, identities, socketsPath } = parts;
  const { name, settings, env } = source;
  const check = () => refuseElevated(parts, source);
  await check();
  const call = { requestId: randomUUID(), signal };
  const identity = await identities.ensure(moduleIdOf(name), call);
  const createOptions = ownOptions(parts, settings);
  const { body, digest } = containerBody({
    image: settings.image,
    createOptions,
    environment: moduleEnvironment({ name, identity, config, socketsPath }),
    env,
    aliases: name === 'edgeHub' ? [config.hostname] : [],
    network: config.network.name,
    sockets: { source: join(socketsPath, name), targets: socketTargets(config.connect) },
  });
  const policy = memberObject(memberObject(createOptions, 'HostConfig'), 'RestartPolicy')['Name'];
  return {
    digest,
    image: settings.image,
    auth: settings.auth,
    body,
    network: config.network,
    check,
    engineRestarts: policy !== undefined && policy !== '',
  };
}

/** The create options without the mounts of sockets, which agents add and the runtime makes itself. */
function ownOptions(
  { config }: Pick<ElevationParts, 'config'>,
  settings: ModuleSettings,
): JsonObject {
  const { connect, listen } = config;
  const sockets = [connect.management, connect.workload, listen.management, listen.workload];
  const paths = new Set([...sockets, ...socketTargets(connect)]);
  return withoutMountsOf(settings.createOptions, paths);
}

/** Whether a module reaches outside its container: what authorization is asked about. */
export async function isElevated(
  parts: ElevationParts,
  settings: ModuleSettings,
): Promise<boolean> {
  return (await reasons(parts, settings)).length > 0;
}

/**
 * AccessDenied for a module that reaches outside its container where the configuration forbids it, or
 * where authorization was told that it does not: what a host path leads to may have changed since.
 */
export async function refuseElevated(
  parts: ElevationParts,
  { name, settings, elevated }: Omit<ModuleSource, 'env'>,
): Promise<void> {
  const { allowElevated } = parts.config;
  if (allowElevated && elevated) return;
  const [reason] = await reasons(parts, settings);
  if (reason === undefined) return;
  const why = allowElevated ? 'it was authorized as harmless' : 'allow_elevated';
  const text = `module ${JSON.stringify(name)} may not be elevated (${why}): ${reason}`;
  throw new ServiceError('AccessDenied', text);
}

function reasons(
  { config, validate }: ElevationParts,
  settings: ModuleSettings,
): Promise<readonly string[]> {
  const rules = { validate, network: config.network.name, allowedBinds: config.allowedBinds };
  return elevationReasons(ownOptions({ config }, settings), rules);
}
