import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import { memberObject } from '../create-options/create-options.ts';
import type { JsonObject } from '../engine/container-engine.ts';
import { mountsOf } from './mounts.ts';
import { elevationViolation, type PolicyViolation, type Validate } from './policy-violation.ts';
import { portViolations } from './ports.ts';

/** The settings that decide whether create options need elevation. */
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
 * Why these create options need elevation, one text per reason; none when they do not. InvalidArgs for a mistake, which
 * elevation does not allow either. The configuration alone decides: a result that depended on files would reveal to every
 * caller which of them exist.
 */
export function elevationReasons(options: JsonObject, rules: ElevationRules): readonly string[] {
  const { hostPaths, others } = mountsOf(options);
  const unlisted = hostPaths.filter((path) => !rules.allowedBinds.includes(path));
  const violations = [
    ...rules.validate(options),
    ...networkViolations(options, rules.network),
    ...others,
    ...unlisted.map((path) =>
      elevationViolation(`host path ${quoted(path)} is not in allowed_binds`),
    ),
    ...portViolations(options, rules.allowedPorts),
  ];
  const wrong = violations.find(({ isMistake }) => isMistake);
  if (wrong !== undefined) throw new ServiceError('InvalidArgs', wrong.text);
  return violations.map(({ text }) => text);
}

function* networkViolations(options: JsonObject, network: string): Generator<PolicyViolation> {
  const mode = memberObject(options, 'HostConfig')['NetworkMode'];
  const modes: readonly unknown[] = [undefined, '', 'default', 'bridge', 'none', network];
  if (!modes.includes(mode)) {
    yield elevationViolation(`HostConfig.NetworkMode ${quoted(String(mode))} is not allowed`);
  }
  const endpoints = memberObject(memberObject(options, 'NetworkingConfig'), 'EndpointsConfig');
  for (const name of Object.keys(endpoints)) {
    if (name !== network && name !== 'bridge')
      yield elevationViolation(`network ${quoted(name)} is not allowed`);
  }
}
