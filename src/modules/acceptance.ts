/** What decides whether a creation, an update or a deletion of a module is accepted. */
import { ServiceError } from '../errors.ts';
import type { ModuleName } from '../ids.ts';
import { Mutex } from '../service/mutex.ts';
import type { ModulesConfig } from './config/config.ts';
import { canonicalJson } from './docker/digest.ts';
import type { ManagedModule } from './managed-module.ts';
import { refuseNames, refuseTaken, refuseUnusable } from './module-names.ts';
import { type Accept, refuseAbsent, type Update } from './module-operations.ts';
import { type ModuleSource, sourceDigest } from './module-source.ts';
import type { ModuleRegistry } from './registry/module-registry.ts';
import { reconfigured, recorded, retired, Superseded } from './registry/reconfigured.ts';
import type { Records } from './registry/records.ts';
import { type RestoredModule, unrecordedAgent } from './registry/restore.ts';
import { isAbsence, type SavedState } from './supervisor/desired-state.ts';
import { accepted, refuseRejected, resumed } from './supervisor/update/update.ts';

/** Dependencies of the acceptance. */
export interface AcceptanceParts {
  /** In force. */
  readonly config: ModulesConfig;
  readonly records: Pick<Records, 'has' | 'refuseDamaged'>;
  readonly modules: ModuleRegistry;
  /** Begins to reconcile a module that was opened, unless that begins with all of them. */
  readonly run: (module: ManagedModule) => void;
  /** Ends the operation in progress for a module. */
  readonly abort: (name: ModuleName, reason: ServiceError) => void;
  readonly now: () => Date;
}

/** Accepts or refuses creations, updates and deletions, one at a time: a name is taken once its record is persisted. */
export class Acceptance {
  readonly #parts: AcceptanceParts;
  readonly #creations = new Mutex();

  constructor(parts: AcceptanceParts) {
    this.#parts = parts;
  }

  /** AlreadyExists when a name of the module is taken, unless its own creation with the same configuration has failed. */
  async claim(source: ModuleSource, accept: Accept): Promise<void> {
    refuseUnusable(source.name);
    const present = this.#parts.modules.find(source.name);
    if (present?.isVanishing === true) await untilVanished(present);
    await this.#creations.run(() => this.#begin(source, accept));
  }

  async #begin(source: ModuleSource, accept: Accept): Promise<void> {
    const { modules, records, run } = this.#parts;
    const { name } = source;
    const present = modules.find(name);
    if (present !== undefined && !isRetriedCreation(present, source)) {
      if (present.isVanishing) refuseAbsent(present);
      throw new ServiceError('AlreadyExists', `module ${JSON.stringify(name)} exists`);
    }
    this.#refuseNames(source);
    if (present === undefined) records.refuseDamaged(name);
    const module = present ?? (await modules.open({ source, saved: { goal: 'absent' } }));
    try {
      await accept(module);
    } catch (error) {
      if (present === undefined) await modules.remove(module);
      throw error;
    }
    if (present === undefined) run(module);
  }

  /** Persists the update of a module; throws to refuse. */
  claimUpdate(update: Update): Promise<void> {
    return this.#creations.run(async () => {
      const { source } = update;
      const module = this.#parts.modules.require(source.name);
      refuseAbsent(module);
      const { config, now } = this.#parts;
      const refuse = () => this.#refuseNames(source);
      await acceptUpdate(module, update, { config, now, refuse });
    });
  }

  /** Opens the agent of a changed configuration, or gives it its new one; a former agent is removed before it starts. */
  claimAgent(read: RestoredModule | undefined, former: ManagedModule | undefined): Promise<void> {
    return this.#creations.run(async () => {
      const { abort, modules, run } = this.#parts;
      const present = read && modules.find(read.source.name);
      const opened = present === undefined && read ? await this.#openAgent(read) : undefined;
      // not before a new one could be opened, and not after that may start
      if (former !== undefined) await retireAgent(former, abort);
      if (opened !== undefined) run(opened);
      if (present !== undefined && read !== undefined) await this.#renewAgent(present, read);
    });
  }

  /** Opens an agent that has no record, to remove it, unless a module has its name meanwhile. */
  retireAgent(name: ModuleName): Promise<void> {
    return this.#creations.run(async () => {
      const { config, modules, records, run } = this.#parts;
      const isTaken = modules.find(name) !== undefined || records.has(name);
      if (isTaken || name === config.agent?.name) return;
      run(await this.#openAgent(unrecordedAgent(name)));
    });
  }

  async #openAgent({ source, state }: RestoredModule): Promise<ManagedModule> {
    const { modules, records } = this.#parts;
    // a container of that name may have been made for something else
    const module = await modules.open({ source, saved: state, isUnproven: true });
    if (!records.has(source.name)) await module.supervisor.desired.force(recorded);
    modules.show(module);
    return module;
  }

  async #renewAgent(present: ManagedModule, read: RestoredModule): Promise<void> {
    const { abort, modules, run } = this.#parts;
    await reconfigureAgent(present, read.source, abort);
    if (!isAbsence(present.supervisor.desired.goal)) return;
    // a former agent that is gone but for its files
    if (modules.find(present.name) === present) await present.supervisor.idle();
    run(await this.#openAgent(read));
  }

  /** NotSupported for the agent. */
  refuseDeletion(name: string): void {
    if (name !== this.#parts.config.agent?.name) return;
    const text = `module ${JSON.stringify(name)} is the agent: modules.yaml says whether there is one`;
    throw new ServiceError('NotSupported', text);
  }

  /** Throws to refuse a module that would have a name of another one. */
  #refuseNames(source: ModuleSource): void {
    const { config, modules } = this.#parts;
    refuseNames(source, config);
    refuseTaken(source, modules.sourcesBeside(source.name), config);
  }
}

/**
 * Persists the update of a module; NotSupported for the agent, unless it asks itself, RolledBack for one that was rolled
 * back just before, Unavailable while the previous one is undone. A module that was stopped for an update which is refused
 * runs again.
 */
export async function acceptUpdate(
  { name, supervisor }: ManagedModule,
  { source, start }: Update,
  parts: {
    readonly config: Pick<ModulesConfig, 'agent'>;
    readonly now: () => Date;
    /** Throws for a configuration that a module may not have beside the others. */
    readonly refuse?: () => void;
  },
): Promise<void> {
  const { config, now, refuse } = parts;
  if (name === config.agent?.name && source.base === undefined) {
    const text = `module ${JSON.stringify(name)} is the agent: modules.yaml has its configuration`;
    throw new ServiceError('NotSupported', text);
  }
  const digest = sourceDigest(source);
  const { desired } = supervisor;
  try {
    refuse?.();
    refuseRejected(desired.rejected, digest, now());
    await desired.change((before) => accepted(before, { other: source, digest, start }));
  } catch (error) {
    if (desired.resumes) {
      await desired.force(resumed);
      supervisor.retry();
    }
    throw error;
  }
}

/** Removes an agent that modules.yaml no longer names. */
async function retireAgent(
  { name, supervisor }: ManagedModule,
  abort: AcceptanceParts['abort'],
): Promise<void> {
  await supervisor.desired.force(retired);
  abort(name, new Superseded(name));
  supervisor.interrupt();
}

/** Gives the agent its new configuration; an operation of its own update ends as superseded. */
export async function reconfigureAgent(
  { name, supervisor }: Pick<ManagedModule, 'name' | 'supervisor'>,
  read: ModuleSource,
  abort: AcceptanceParts['abort'],
): Promise<void> {
  const { desired } = supervisor;
  let before: SavedState | undefined;
  await desired.force((now) => {
    before = now.state;
    return reconfigured(now, read);
  });
  if (before === undefined) return; // it is being removed
  const { goal, operation, update } = before;
  if (operation !== undefined && desired.operation === undefined) abort(name, new Superseded(name));
  if (update !== desired.update || goal !== desired.goal) supervisor.interrupt();
}

/** Whether the creation of this module failed and is requested again with the same configuration. */
function isRetriedCreation(
  { source, supervisor }: ManagedModule,
  requested: ModuleSource,
): boolean {
  return supervisor.desired.goal === 'failed' && canonicalJson(source) === canonicalJson(requested);
}

/** Waits for the removal of a module that an earlier call has left unfinished. */
async function untilVanished(module: ManagedModule): Promise<void> {
  const rest = module.supervisor.idle();
  module.supervisor.retry();
  await rest;
}
