/** The elevation of modules: whether one reaches outside its container, and whether the configuration allows that. */
import { ServiceError } from '../../errors.ts';
import type { ModulesConfig } from '../config/config.ts';
import type { ModuleSource } from '../module-source.ts';
import {
  type ConfinementContext,
  ownOptions,
  settingsElevationReasons,
} from './confinement/confined-options.ts';
import { type MountSource, refuseHostPaths } from './confinement/mount-check.ts';
import type { ModuleSettings } from './create-options/create-options.ts';

/** The settings that decide whether a module may be created. */
export interface ElevationParts extends ConfinementContext {
  readonly config: ConfinementContext['config'] &
    Pick<ModulesConfig, 'allowElevated' | 'allowedVolumes'>;
}

/** Whether a module reaches outside its container, for authorization. */
export function isElevated(parts: ElevationParts, settings: ModuleSettings): boolean {
  return settingsElevationReasons(parts, settings).length > 0;
}

/** Whether a module is limited to what the configuration allows. */
export function isConfined(
  { config }: ElevationParts,
  { elevated }: Pick<ModuleSource, 'elevated'>,
) {
  return !(config.allowElevated && elevated);
}

/**
 * AccessDenied for a module that reaches outside its container where the configuration forbids it; InvalidArgs for what no
 * module may have.
 */
export function refuseElevated(parts: ElevationParts, source: ModuleSource): void {
  if (!isConfined(parts, source)) return refuseAutoRemove(source);
  const [reason] = settingsElevationReasons(parts, source.settings);
  if (reason === undefined) return;
  const why = parts.config.allowElevated ? 'it was authorized as harmless' : 'allow_elevated';
  const text = `module ${JSON.stringify(source.name)} may not be elevated (${why}): ${reason}`;
  throw new ServiceError('AccessDenied', text);
}

/** The runtime would take its end for a removal by another client, and could neither keep its log nor roll back. */
function refuseAutoRemove({ name, settings }: ModuleSource): void {
  const isOn = membersOf(settings.createOptions, 'hostconfig')
    .flatMap((hostConfig) => membersOf(hostConfig, 'autoremove'))
    .includes(true);
  if (!isOn) return;
  const text = `module ${JSON.stringify(name)} may not have AutoRemove: the runtime itself removes the container of a module; restart_policy says whether it runs again`;
  throw new ServiceError('InvalidArgs', text);
}

/** The values of a member, whose name the engine reads in any case of letters. */
function membersOf(value: unknown, name: string): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  const found = Object.entries(value).filter(([key]) => key.toLowerCase() === name);
  return found.map(([, member]: readonly [string, unknown]) => member);
}

/**
 * AccessDenied for a module that may not be created as it is configured, or whose host paths another user could replace.
 * Only for callers who may create modules: it reveals which files exist.
 */
export async function refuseUnconfined(parts: ElevationParts, source: ModuleSource): Promise<void> {
  refuseElevated(parts, source);
  if (!isConfined(parts, source)) return;
  await refuseHostPaths(mountSource(parts, source), parts.config);
}

/** The mounts of a module, to be checked. */
export function mountSource(parts: ElevationParts, { name, settings }: ModuleSource): MountSource {
  return { name, createOptions: ownOptions(parts, settings) };
}
