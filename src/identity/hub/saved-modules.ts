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
  readonly #modules = new Map<ModuleId, SavedModule>();
  /** Ids whose file cannot be read: reported, and not replaced by anything but Delete. */
  readonly #damaged = new Map<ModuleId, string>();
  /** Those of them that a newer version wrote: nothing replaces or removes them. */
  readonly #newer = new Map<ModuleId, NewerFile>();

  private constructor(options: SavedModulesOptions) {
    this.#options = options;
  }

  static async load(options: SavedModulesOptions): Promise<SavedModules> {
    const modules = new SavedModules(options);
    for (const id of await options.state.moduleIds()) await modules.#load(id);
    return modules;
  }

  /** What is wrong with files, by id. */
  get damaged(): ReadonlyMap<ModuleId, string> {
    return this.#damaged;
  }

  /** Why the identities cannot be listed, undefined when they can. */
  get unlisted(): string | undefined {
    return this.#options.state.modulesFailure?.message;
  }

  /** Unavailable when the identities cannot be listed. */
  assertListed(): void {
    refuseUnusable(this.#options.state.modulesFailure);
  }

  /** The identities whose keys work. */
  list(): readonly SavedModule[] {
    return [...this.#modules.values()].filter((module) => this.#isUsable(module));
  }

  /** The identity, when its keys work; Unavailable when its file is damaged. */
  usable(id: ModuleId): SavedModule | undefined {
    this.refuseDamaged(id);
    const module = this.#modules.get(id);
    return module !== undefined && this.#isUsable(module) ? module : undefined;
  }

  /** What is saved under an id, complete or not, of whatever device. */
  get(id: ModuleId): SavedModule | undefined {
    return this.#modules.get(id);
  }

  /** Unavailable when the file of an identity is damaged, or when it is unknown which there are. */
  refuseDamaged(id: ModuleId): void {
    const why = this.#damaged.get(id) ?? this.unlisted;
    if (why === undefined) return;
    throw new ServiceError('Unavailable', `the file of module "${id}" cannot be used: ${why}`);
  }

  /** Unavailable when the file of an identity may not be removed. */
  refuseUndeletable(id: ModuleId): void {
    this.assertListed();
    refuseUnusable(this.#newer.get(id));
  }

  async save(module: SavedModule): Promise<void> {
    await this.#options.state.saveModule(module);
    this.#modules.set(module.moduleId, module);
    this.#options.changed();
  }

  async delete(id: ModuleId): Promise<void> {
    await this.#options.state.deleteModule(id);
    this.#modules.delete(id);
    this.#damaged.delete(id);
    this.#options.changed();
  }

  async #load(id: ModuleId): Promise<void> {
    try {
      const module = await this.#options.state.module(id);
      if (module !== undefined) this.#modules.set(id, module);
    } catch (error) {
      this.#damaged.set(id, describeError(error));
      if (error instanceof NewerFile) this.#newer.set(id, error);
      this.#options.log.error('module identity damaged', { moduleId: id });
    }
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
