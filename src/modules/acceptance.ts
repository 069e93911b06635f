/** What decides whether a creation or an update of a module is accepted. */
import { ServiceError } from '../errors.ts';
import type { ModulesConfig } from './config/config.ts';
import { canonicalJson } from './docker/digest.ts';
import type { ManagedModule } from './managed-module.ts';
import type { Update } from './module-operations.ts';
import { type ModuleSource, sourceDigest } from './module-source.ts';
import { accepted, refuseRejected, resumed } from './supervisor/update/update.ts';

/** Persists the update of a module; NotSupported for the agent, unless it asks itself, RolledBack for one that was rolled back just before. */
export async function acceptUpdate(
  { name, supervisor }: ManagedModule,
  { source, start }: Update,
  { config, now }: { readonly config: Pick<ModulesConfig, 'agent'>; readonly now: () => Date },
): Promise<void> {
  if (name === config.agent?.name && source.base === undefined) {
    const text = `module ${JSON.stringify(name)} is the agent: modules.yaml has its configuration`;
    throw new ServiceError('NotSupported', text);
  }
  const digest = sourceDigest(source);
  const { desired } = supervisor;
  try {
    refuseRejected(desired.rejected, digest, now());
  } catch (error) {
    if (desired.resumes) {
      await desired.change(resumed);
      supervisor.retry();
    }
    throw error;
  }
  await desired.change((before) => accepted(before, { other: source, digest, start }));
}

/** Whether the creation of this module failed and is requested again with the same configuration. */
export function isRetriedCreation(
  { source, supervisor }: ManagedModule,
  requested: ModuleSource,
): boolean {
  return supervisor.desired.goal === 'failed' && canonicalJson(source) === canonicalJson(requested);
}

/** Waits for the removal of a module that an earlier call has left unfinished. */
export async function untilVanished(module: ManagedModule): Promise<void> {
  const rest = module.supervisor.idle();
  module.supervisor.retry();
  await rest;
}
