/** When a module that ended by itself is restarted: decided by the supervisor, never by an engine. */
import { oneOf } from '../../../errors.ts';

/** Every policy, the one that restarts most first. */
export const restartPolicies = ['always', 'on-unhealthy', 'on-failure', 'never'] as const;
/** When a module that is to run is restarted. */
export type RestartPolicy = (typeof restartPolicies)[number];

/** The policy that a text names, or InvalidArgs. */
export function parseRestartPolicy(value: unknown): RestartPolicy {
  return oneOf(typeof value === 'string' ? value : '', 'a restart policy', restartPolicies);
}

/** Whether an instance that ended by itself with this exit code is restarted. */
export function restartsAfter(policy: RestartPolicy, exitCode: number): boolean {
  return policy === 'always' || (policy !== 'never' && exitCode !== 0);
}

/** Whether an instance whose health check fails is restarted. */
export function restartsUnhealthy(policy: RestartPolicy): boolean {
  return policy === 'always' || policy === 'on-unhealthy';
}
