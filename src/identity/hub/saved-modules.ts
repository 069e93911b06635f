import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { NewerFile, refuseUnusable } from '../../service/state/state-file.ts';
import type { IdentityState, SavedDevice, SavedModule } from '../state.ts';

/** What the saved identities are read from. */
export interface SavedModulesOptions {
  readonly state: IdentityState;
  /** The saved device, when there is one. */
  readonly deviceOrNone: () => SavedDevice | undefined;
  /** Notified when `list` or `damaged` has changed. */
  readonly changed: () => void;
  readonly log: Log;
}

/** The identities of modules as they are saved, those included that are not complete. */
export class SavedModules {
  readonly #options: SavedModulesOptions;
  /** A damaged one is reported, and not replaced by anything but Delete; nothing replaces or removes a newer one. */
  readonly #records: IdentityState['modules'];

  constructor(options: SavedModulesOptions) {
    this.#options = options;
    this.#records = options.state.modules;
    for (const moduleId of this.#records.damaged.keys()) {
      options.log.error('module identity damaged', { moduleId });
    }
  }

  /** What is wrong with files, by id. */
  get damaged(): ReadonlyMap<ModuleId, string> {
    const damaged = [...this.#records.damaged];
    return new Map(damaged.map(([id, damage]) => [id, describeError(damage)]));
  }

  /** Why the identities cannot be listed, undefined when they can. */
  get unlisted(): string | undefined {
    return this.#records.failure?.message;
  }

  /** Unavailable when the identities cannot be listed. */
  assertListed(): void {
    this.#records.assertListed();
  }

  /** The identities whose keys work. */
  list(): readonly SavedModule[] {
    return this.#records.values().filter((module) => this.#isUsable(module));
  }

  /** The identity, when its keys work; Unavailable when its file is damaged. */
  usable(id: ModuleId): SavedModule | undefined {
    this.refuseDamaged(id);
    const module = this.#records.get(id);
    return module !== undefined && this.#isUsable(module) ? module : undefined;
  }

  /** What is saved under an id, complete or not, of whatever device. */
  get(id: ModuleId): SavedModule | undefined {
    return this.#records.get(id);
  }

  /** Unavailable when the file of an identity is damaged, or when it is unknown which there are. */
  refuseDamaged(id: ModuleId): void {
    const why = this.#records.reason(id);
    if (why === undefined) return;
    throw new ServiceError('Unavailable', `the file of module "${id}" cannot be used: ${why}`);
  }

  /** Unavailable when the file of an identity may not be removed. */
  refuseUndeletable(id: ModuleId): void {
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

  /** Its keys are on the hub, and it is of the device that this one is now. */
  #isUsable(module: SavedModule): boolean {
    const device = this.#options.deviceOrNone();
    const works = module.phase === 'complete' || module.phase === 'updating';
    return works && (device === undefined || isOf(module, device));
  }
}

/** Whether an identity is one of this device on this hub. */
export function isOf(module: SavedModule, { hubHostname, deviceId }: SavedDevice): boolean {
  return module.hubHostname === hubHostname && module.deviceId === deviceId;
}
