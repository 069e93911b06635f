import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { NewerFile, refuseUnusable } from '../../service/state/state-file.ts';
import type { IdentityState, SavedDevice, SavedModule } from '../state.ts';

/** Options of SavedModules. */
export interface SavedModulesOptions {
  readonly state: IdentityState;
  /** The saved device, when there is one. */
  readonly deviceOrNone: () => SavedDevice | undefined;
  /** Notified when `list` or `damaged` has changed. */
  readonly changed: () => void;
  readonly log: Log;
}

/** The saved identities of modules, including incomplete ones. */
export class SavedModules {
  readonly #options: SavedModulesOptions;
  /** A damaged record is reported, and only Delete removes it; nothing replaces or removes a newer one. */
  readonly #records: IdentityState['modules'];

  constructor(options: SavedModulesOptions) {
    this.#options = options;
    this.#records = options.state.modules;
    for (const moduleId of this.#records.damaged.keys()) {
      options.log.error('module identity damaged', { moduleId });
    }
  }

  /** The problems of files, by id. */
  get damaged(): ReadonlyMap<ModuleId, string> {
    const damaged = [...this.#records.damaged];
    return new Map(damaged.map(([id, damage]) => [id, describeError(damage)]));
  }

  /** Why the identities cannot be listed; undefined when they can. */
  get unlisted(): string | undefined {
    return this.#records.failure?.message;
  }

  /** Throws Unavailable when the identities cannot be listed. */
  assertListed(): void {
    this.#records.assertListed();
  }

  /** The identities with valid keys. */
  list(): readonly SavedModule[] {
    return this.#records.values().filter((module) => this.#isUsable(module));
  }

  /** The identity, if its keys are valid; Unavailable when its file is damaged. */
  usable(id: ModuleId): SavedModule | undefined {
    this.assertReadable(id);
    const module = this.#records.get(id);
    return module !== undefined && this.#isUsable(module) ? module : undefined;
  }

  /** The record of an id, complete or not, of any device. */
  get(id: ModuleId): SavedModule | undefined {
    return this.#records.get(id);
  }

  /** Throws Unavailable when the file of an identity is damaged, or the identities cannot be listed. */
  assertReadable(id: ModuleId): void {
    const why = this.#records.reason(id);
    if (why === undefined) return;
    throw new ServiceError('Unavailable', `the file of module "${id}" cannot be used: ${why}`);
  }

  /** Throws Unavailable when the file of an identity may not be removed. */
  assertRemovable(id: ModuleId): void {
    this.assertListed();
    const damage = this.#records.damage(id);
    if (damage instanceof NewerFile) refuseUnusable(damage);
  }

  async save(module: SavedModule): Promise<void> {
    await this.#records.put(module.moduleId, module);
    this.#options.changed();
  }

  async delete(id: ModuleId): Promise<void> {
    await this.#records.delete(id, { evenUnreadable: true });
    this.#options.changed();
  }

  /** Whether its keys are on the hub, and it is of the current device. */
  #isUsable(module: SavedModule): boolean {
    const device = this.#options.deviceOrNone();
    const hasKeys = module.phase === 'complete' || module.phase === 'updating';
    return hasKeys && (device === undefined || isOf(module, device));
  }
}

/** Whether an identity is one of this device on this hub. */
export function isOf(module: SavedModule, { hubHostname, deviceId }: SavedDevice): boolean {
  return module.hubHostname === hubHostname && module.deviceId === deviceId;
}
