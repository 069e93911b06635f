import { quoted } from '../../quoted.ts';
import { memberObject } from '../create-options.ts';
import type { JsonObject } from '../engine.ts';
import { mountsOf } from './mounts.ts';
import { portReasons } from './ports.ts';

/** Says what in a JSON value does not fit a schema, one text per problem; none when it fits. */
export type Validate = (value: unknown) => readonly string[];

/** What is needed to tell whether create options are elevated. */
export interface ElevationRules {
  /** Against `createOptionsSchema`. */
  readonly validate: Validate;
  /** The network that modules join. */
  readonly network: string;
  /** The host paths that may be mounted. */
  readonly allowedBinds: readonly string[];
  /** The host ports below 1024 that may be published. */
  readonly allowedPorts: readonly number[];
}

/**
 * Why these create options need elevation, one text per reason; none when they do not. The configuration
 * alone decides: an answer that depended on files would tell every caller which of them exist.
 */
export function elevationReasons(options: JsonObject, rules: ElevationRules): readonly string[] {
  const invalid = rules.validate(options);
  if (invalid.length > 0) return invalid;
  const { hostPaths, others } = mountsOf(options);
  const unlisted = hostPaths.filter((path) => !rules.allowedBinds.includes(path));
  return [
    ...networkReasons(options, rules.network),
    ...others,
    ...unlisted.map((path) => `host path ${quoted(path)} is not in allowed_binds`),
    ...portReasons(options, rules.allowedPorts),
  ];
}

function* networkReasons(options: JsonObject, network: string): Generator<string> {
  const mode = memberObject(options, 'HostConfig')['NetworkMode'];
  const modes: readonly unknown[] = [undefined, '', 'default', 'bridge', 'none', network];
  if (!modes.includes(mode)) yield `HostConfig.NetworkMode ${quoted(String(mode))} is not allowed`;
  const endpoints = memberObject(memberObject(options, 'NetworkingConfig'), 'EndpointsConfig');
  for (const name of Object.keys(endpoints)) {
    if (name !== network) yield `network ${quoted(name)} is not allowed`;
  }
}
