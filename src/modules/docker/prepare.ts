import { join } from 'node:path';
import type { Via } from '../../dbus/client/via.ts';
import { isServiceError, type ServiceError } from '../../errors.ts';
import { moduleIdOf } from '../../ids.ts';
import type { ModulesConfig } from '../config/config.ts';
import type { Identities, ModuleIdentity } from '../identities.ts';
import { refuseNames, refuseTaken, type Upstream } from '../module-names.ts';
import type { ModuleSource } from '../module-source.ts';
import type { InstanceSpec, Refused } from '../supervisor/module-type.ts';
import { confinedOptions, ownOptions, socketTargets } from './confinement/confined-options.ts';
import { checkMounts, type VolumeEngine, volumesRefusal } from './confinement/mount-check.ts';
import { withHostMounts } from './confinement/mounts.ts';
import { type ContainerBody, containerBody } from './container-body.ts';
import { ContainerSpec, type ContainerSpecOptions } from './container-spec.ts';
import { withoutEnginePolicy } from './create-options/restart-policy.ts';
import { type ElevationParts, isConfined, mountSource, refuseElevated } from './elevation.ts';
import { fixedVariables, moduleEnvironment } from './environment.ts';
import { keptTag } from './module-image.ts';
import type { StartLimiter } from './start-limiter.ts';
import { withUpstream } from './upstream-image.ts';

/** Dependencies of the preparation of modules. */
export interface PrepareParts extends ElevationParts {
  readonly config: ElevationParts['config'] &
    Pick<ModulesConfig, 'agent' | 'hostname' | 'serverNames'>;
  readonly engine: ContainerSpecOptions['engine'] & VolumeEngine;
  readonly identities: Pick<Identities, 'ensure'>;
  readonly socketsPath: string;
  /** The modules whose volumes were checked since the service started or its configuration changed. */
  readonly volumesSeen: WeakSet<ModuleSource>;
  /** Of all containers but the agent's; without it, none waits for another one. */
  readonly limiter?: Pick<StartLimiter, 'run'>;
}

/**
 * The specification of a module's container, with the configuration in force when its preparation begins; registers the
 * module's identity if it has none.
 */
export async function prepare(
  live: PrepareParts,
  source: ModuleSource,
  via: Via,
): Promise<InstanceSpec | Refused> {
  const { signal } = via;
  const parts = { ...live };
  const { config, engine, identities, limiter } = parts;
  // refuse what may not run before calling services that may be unreachable
  const unlisted = sourceRefusal(parts, source) ?? (await unlistedVolume(parts, source, signal));
  if (unlisted !== undefined) return { refusal: unlisted };
  const identity = await identities.ensure(moduleIdOf(source.name), via);
  const refusal = sourceRefusal(parts, source, identity);
  if (refusal !== undefined) return { refusal };
  const { body, digest } = createRequest(parts, source, identity);
  return new ContainerSpec({
    engine,
    digest,
    image: withUpstream(source.settings, identity),
    kept: keptTag(source.name),
    body,
    network: config.network,
    limiter: source.name === config.agent?.name ? undefined : limiter,
    // with the configuration in force by then
    check: (ending) => checkBefore(live, source, ending),
  });
}

/** The create request of a module's container. */
export function createRequest(
  parts: Omit<PrepareParts, 'engine' | 'identities' | 'volumesSeen'>,
  source: ModuleSource,
  identity: ModuleIdentity,
): ContainerBody {
  const { config, socketsPath } = parts;
  const { name, settings, env } = source;
  const createOptions = isConfined(parts, source)
    ? withHostMounts(confinedOptions(parts, settings))
    : ownOptions(parts, settings);
  const environment = moduleEnvironment({ name, identity, config, socketsPath });
  return containerBody({
    name,
    image: settings.image,
    createOptions: withoutEnginePolicy(createOptions),
    environment,
    fixed: fixedVariables(environment),
    env,
    aliases: [...(name === 'edgeHub' ? [config.hostname] : []), ...(settings.aliases ?? [])],
    network: config.network.name,
    sockets: { source: join(socketsPath, name), targets: socketTargets(config.connect) },
  });
}

/** Why a module may not run as it is configured: the configuration may have changed since it was created. */
function sourceRefusal(
  parts: PrepareParts,
  source: ModuleSource,
  upstream?: Upstream,
): ServiceError | undefined {
  try {
    if (upstream === undefined) refuseElevated(parts, source);
    // the administrator chooses the name of the agent in modules.yaml
    if (source.name === parts.config.agent?.name) return undefined;
    refuseNames(source, parts.config, upstream);
    refuseTaken(source, [], parts.config);
    return undefined;
  } catch (error) {
    if (isServiceError(error)) return error;
    throw error;
  }
}

/** AccessDenied for a volume that the configuration no longer allows. Before a start, `check` checks all of them. */
async function unlistedVolume(
  parts: PrepareParts,
  source: ModuleSource,
  signal: AbortSignal,
): Promise<ServiceError | undefined> {
  if (!isConfined(parts, source) || parts.volumesSeen.has(source)) return undefined;
  const refusal = await volumesRefusal(mountSource(parts, source), parts, signal);
  if (refusal === undefined) parts.volumesSeen.add(source);
  return refusal;
}

/** Runs before a container is created, and again before each of its starts. */
async function checkBefore(
  parts: PrepareParts,
  source: ModuleSource,
  signal: AbortSignal,
): Promise<void> {
  if (isConfined(parts, source)) await checkMounts(mountSource(parts, source), parts, signal);
}
