/** The engine's restart policy in create options: the runtime applies it, and the engine does not get it. */
import { ServiceError } from '../../../errors.ts';
import type { RestartPolicy } from '../../supervisor/restart/restart-policy.ts';
import type { JsonObject } from '../engine/container-engine.ts';

const enginePolicies: ReadonlyMap<unknown, RestartPolicy | undefined> = new Map([
  ['', undefined],
  ['no', 'never'],
  ['always', 'always'],
  ['unless-stopped', 'always'],
  ['on-failure', 'on-failure'],
]);

/** The policy for the engine's one in create options, undefined when they have none; InvalidArgs. */
export function engineRestartPolicy(createOptions: JsonObject): RestartPolicy | undefined {
  const asked = hostConfigs(createOptions).flatMap(([, hostConfig]) =>
    Object.entries(hostConfig).filter(isPolicy),
  );
  const [policy] = asked.map(([, value]) => policyOf(value)).filter((one) => one !== undefined);
  return policy;
}

/** The create options without the engine's restart policy, in any case of letters that the engine accepts. */
export function withoutEnginePolicy(createOptions: JsonObject): JsonObject {
  const changed = hostConfigs(createOptions).map(([key, hostConfig]) => {
    const kept = Object.entries(hostConfig).filter((member) => !isPolicy(member));
    return [key, Object.fromEntries(kept)] as const;
  });
  return { ...createOptions, ...Object.fromEntries(changed) };
}

/** The members that the engine reads as `HostConfig`: in any case of letters. */
function hostConfigs(createOptions: JsonObject): readonly (readonly [string, object])[] {
  return Object.entries(createOptions).flatMap(([key, value]) =>
    /^hostconfig$/iu.test(key) && typeof value === 'object' && value !== null ? [[key, value]] : [],
  );
}

function isPolicy([key]: readonly [string, unknown]): boolean {
  return /^restartpolicy$/iu.test(key);
}

function policyOf(value: unknown): RestartPolicy | undefined {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const name: unknown = Object.entries(value).find(isName)?.[1] ?? '';
    if (enginePolicies.has(name)) return enginePolicies.get(name);
  }
  const known = [...enginePolicies.keys()].filter(Boolean).join(', ');
  const text = `createOptions.HostConfig.RestartPolicy.Name is not one of ${known}`;
  throw new ServiceError('InvalidArgs', text);
}

function isName([key]: readonly [string, unknown]): boolean {
  return /^name$/iu.test(key);
}
