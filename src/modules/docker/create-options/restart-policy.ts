/** What becomes of a container that ends by itself. The runtime decides, never the engine. */
import { oneOf, ServiceError } from '../../../errors.ts';
import type { JsonObject } from '../engine.ts';

/** Every policy, the one that restarts most first. */
export const restartPolicies = ['always', 'on-unhealthy', 'on-failure', 'never'] as const;
/** When a module is started again that shall run. */
export type RestartPolicy = (typeof restartPolicies)[number];

const enginePolicies: ReadonlyMap<unknown, RestartPolicy | undefined> = new Map([
  ['', undefined],
  ['no', 'never'],
  ['always', 'always'],
  ['unless-stopped', 'always'],
  ['on-failure', 'on-failure'],
]);

/** The policy that a text names, or InvalidArgs. */
export function parseRestartPolicy(value: unknown): RestartPolicy {
  return oneOf(typeof value === 'string' ? value : '', 'a restart policy', restartPolicies);
}

/** The policy that stands for the engine's one in create options, undefined when they ask for none; InvalidArgs. */
export function engineRestartPolicy(createOptions: JsonObject): RestartPolicy | undefined {
  const asked = hostConfigs(createOptions).flatMap(([, hostConfig]) =>
    Object.entries(hostConfig).filter(isPolicy),
  );
  const [policy] = asked.map(([, value]) => policyOf(value)).filter((one) => one !== undefined);
  return policy;
}

/** The create options without the engine's restart policy, in whichever letters the engine would take it. */
export function withoutEnginePolicy(createOptions: JsonObject): JsonObject {
  const changed = hostConfigs(createOptions).map(([key, hostConfig]) => {
    const kept = Object.entries(hostConfig).filter((member) => !isPolicy(member));
    return [key, Object.fromEntries(kept)] as const;
  });
  return { ...createOptions, ...Object.fromEntries(changed) };
}

/** Whether a container that ended by itself with this exit code is started again. */
export function restartsAfter(policy: RestartPolicy, exitCode: number): boolean {
  return policy === 'always' || (policy !== 'never' && exitCode !== 0);
}

/** Whether a container whose health check fails is started again. */
export function restartsUnhealthy(policy: RestartPolicy): boolean {
  return policy === 'always' || policy === 'on-unhealthy';
}

/** The members that the engine reads as `HostConfig`: it knows them in any letters. */
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
