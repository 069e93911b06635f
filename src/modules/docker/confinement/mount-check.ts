/** Checks the mounts of a module: after its creation is authorized, and again before every start. */
import { ServiceError } from '../../../errors.ts';
import type { ContainerEngine, JsonObject, Volume } from '../engine/container-engine.ts';
import { moduleLabel } from '../labels.ts';
import { hostPathReason, normalHostPath, type ReadStatus } from './host-path.ts';
import { mountsOf, type VolumeRequest } from './mounts.ts';

/** The settings that allow a mount. */
interface MountConfig {
  readonly allowedBinds: readonly string[];
  readonly allowedVolumes: readonly string[];
}
/** The part of an engine that mounts are checked with. */
export type VolumeEngine = Pick<ContainerEngine, 'system' | 'findVolume' | 'createVolume'>;

/** A module and what it mounts. */
export interface MountSource {
  readonly name: string;
  readonly createOptions: JsonObject;
}

/** AccessDenied for a host path that another user than root could replace. Without the engine, which reports further ones. */
export async function refuseHostPaths(
  { name, createOptions }: MountSource,
  { allowedBinds }: MountConfig,
  {
    writable = [],
    readStatus,
  }: { readonly writable?: readonly string[]; readonly readStatus?: ReadStatus } = {},
): Promise<void> {
  for (const path of mountsOf(createOptions).hostPaths) {
    const others = allowedBinds.filter((one) => one !== path);
    const reason = await hostPathReason(path, [...others, ...writable], readStatus);
    if (reason !== undefined) throw denied(name, reason);
  }
}

/** Creates missing volumes; AccessDenied for a host path or a volume that the module may not have. */
export async function checkMounts(
  source: MountSource,
  { config, engine }: { readonly config: MountConfig; readonly engine: VolumeEngine },
  signal: AbortSignal,
): Promise<void> {
  const { hostPaths, volumes } = mountsOf(source.createOptions);
  for (const volume of volumes) {
    const found = await ensureVolume(engine, source.name, volume, signal);
    const reason = volumeReason(found, source.name, config);
    if (reason !== undefined) throw denied(source.name, reason);
  }
  if (hostPaths.length === 0) return;
  await refuseHostPaths(source, config, { writable: await writableIn(engine, config, signal) });
}

/** AccessDenied for the first volume that the module may not have, undefined when it may have all. */
export async function volumesRefusal(
  { name, createOptions }: MountSource,
  { config, engine }: { readonly config: MountConfig; readonly engine: VolumeEngine },
  signal: AbortSignal,
): Promise<ServiceError | undefined> {
  for (const volume of mountsOf(createOptions).volumes) {
    const found = await engine.findVolume(volume.name, signal);
    const reason = found && volumeReason(found, name, config);
    if (reason !== undefined) return denied(name, reason);
  }
  return undefined;
}

async function ensureVolume(
  engine: VolumeEngine,
  module: string,
  { name, labels }: VolumeRequest,
  signal: AbortSignal,
): Promise<Volume> {
  const found = await engine.findVolume(name, signal);
  if (found !== undefined) return found;
  await engine.createVolume({ name, labels: { ...labels, [moduleLabel]: module } }, signal);
  // the engine returns a volume that another client created meanwhile as if it were new
  const made = await engine.findVolume(name, signal);
  if (made === undefined) {
    throw new ServiceError('Unavailable', `volume ${JSON.stringify(name)} was removed`);
  }
  return made;
}

function volumeReason(
  { name, driver, options, labels }: Volume,
  module: string,
  { allowedVolumes }: MountConfig,
): string | undefined {
  if (allowedVolumes.includes(name)) return undefined;
  const shown = `volume ${JSON.stringify(name)}`;
  if (driver !== 'local' || options.size > 0) {
    return `${shown} has a driver or options of its own and is not in allowed_volumes`;
  }
  if (labels.get(moduleLabel) === module) return undefined;
  return `${shown} was not made for this module and is not in allowed_volumes`;
}

/** Where containers write on the host: the engine's own directory, and those of volumes. */
async function writableIn(
  engine: VolumeEngine,
  { allowedVolumes }: MountConfig,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { rootDirectory } = await engine.system(signal);
  const volumes = await Promise.all(allowedVolumes.map((name) => engine.findVolume(name, signal)));
  const places = volumes.flatMap((volume) =>
    volume === undefined ? [] : [volume.mountpoint, volume.options.get('device') ?? ''],
  );
  const paths = [rootDirectory, ...places].filter((path) => path.startsWith('/'));
  return paths.map(normalHostPath);
}

function denied(module: string, reason: string): ServiceError {
  return new ServiceError('AccessDenied', `module ${JSON.stringify(module)}: ${reason}`);
}
