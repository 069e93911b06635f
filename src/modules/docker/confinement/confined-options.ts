/** The confinement of a module's create options, for the service and for `config check`. */
import { posix } from 'node:path';
import { type ModuleSettings, withoutMountsOf } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';
import { elevationReasons } from './elevation-reasons.ts';
import { type CgroupVersion, withoutEngineDefaults } from './engine-defaults.ts';
import type { Validate } from './policy-violation.ts';

interface Sockets {
  readonly management: string;
  readonly workload: string;
}

/** The settings that decide whether create options are confined. */
export interface ConfinementContext {
  readonly config: {
    readonly allowedBinds: readonly string[];
    readonly allowedPorts: readonly number[];
    readonly connect: Sockets;
    readonly listen: Sockets;
    readonly network: { readonly name: string };
  };
  /** Against `createOptionsSchema`. */
  readonly validate: Validate;
  readonly cgroupVersion: CgroupVersion;
}

/** The create options without the socket mounts, which agents add and the runtime adds itself. */
export function ownOptions(
  { config }: Pick<ConfinementContext, 'config'>,
  settings: ModuleSettings,
): JsonObject {
  const { connect, listen } = config;
  const sockets = [connect.management, connect.workload, listen.management, listen.workload];
  const paths = new Set([...sockets, ...socketTargets(connect)]);
  return withoutMountsOf(settings.createOptions, paths);
}

/** The create options of a confined module: without the engine's defaults. */
export function confinedOptions(by: ConfinementContext, settings: ModuleSettings): JsonObject {
  return withoutEngineDefaults(ownOptions(by, settings), by.cgroupVersion);
}

/** Why a module needs elevation, one text per reason; InvalidArgs for a mistake. */
export function settingsElevationReasons(
  by: ConfinementContext,
  settings: ModuleSettings,
): readonly string[] {
  const { config, validate } = by;
  const { allowedBinds, allowedPorts, network } = config;
  const rules = { validate, network: network.name, allowedBinds, allowedPorts };
  return elevationReasons(confinedOptions(by, settings), rules);
}

/** The directories of the sockets of `connect`, each once. */
export function socketTargets({ management, workload }: Sockets): readonly string[] {
  return [...new Set([posix.dirname(workload), posix.dirname(management)])];
}
