import type { ObjectManager } from '../../dbus/server/object-manager.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleName } from '../../ids.ts';
import type { modulesService } from '../../interfaces/modules.ts';
import type { Log } from '../../service/log/log.ts';
import type { ModulesBackend } from '../api/workload-backend.ts';
import { ManagedModule, type ModuleParts } from '../managed-module.ts';
import type { ModuleSource } from '../module-source.ts';
import type { SavedState } from '../supervisor/desired-state.ts';
import type { Records } from './records.ts';

/** What the directory is made of. */
export interface RegistryOptions {
  readonly module: Omit<ModuleParts, 'backend' | 'forget' | 'onChange'>;
  /** What answers modules, which ask about each other. */
  readonly backend: (modules: ModuleRegistry) => ModulesBackend;
  readonly records: Pick<Records, 'delete'>;
  readonly objects: Pick<ObjectManager<typeof modulesService>, 'put' | 'remove'>;
  /** A module came, changed or went. */
  readonly onChange: () => void;
  readonly log: Log;
}

/** The modules that are there, from their opening until nothing is left of them. */
export class ModuleRegistry {
  readonly #parts: RegistryOptions;
  readonly #modules = new Map<ModuleName, ManagedModule>();
  readonly #backend: ModulesBackend;

  constructor(parts: RegistryOptions) {
    this.#parts = parts;
    this.#backend = parts.backend(this);
  }

  all(): readonly ManagedModule[] {
    return [...this.#modules.values()];
  }

  find(name: string): ManagedModule | undefined {
    return this.all().find((module) => module.name === name);
  }

  /** The module of that name, or NotFound. */
  require(name: string): ManagedModule {
    const module = this.find(name);
    if (module === undefined) {
      throw new ServiceError('NotFound', `no module ${JSON.stringify(name)}`);
    }
    return module;
  }

  /** Opens a module; it is not shown yet, and nothing is done with its container before it is run. */
  async open(source: ModuleSource, saved: SavedState): Promise<ManagedModule> {
    const parts: ModuleParts = {
      ...this.#parts.module,
      backend: this.#backend,
      forget: (module) => this.forget(module),
      onChange: (module) => this.show(module),
    };
    const module = await ManagedModule.open(parts, source, saved);
    this.#modules.set(source.name, module);
    return module;
  }

  /** Stops looking after a module and shows it no more; its container stays as it is. */
  async leave(module: ManagedModule): Promise<void> {
    this.#modules.delete(module.name);
    await module[Symbol.asyncDispose]();
    this.#parts.objects.remove(module.name);
    this.#tellChange();
  }

  /** Removes everything of a module that outlives the process, and only then the module. Never rejects. */
  async forget(module: ManagedModule): Promise<void> {
    const { log, objects, records } = this.#parts;
    try {
      await module.removeDirectory();
      await records.delete(module.name);
    } catch (error) {
      log.error('module not forgotten', { module: module.name, error: describeError(error) });
    }
    // Until here, another of the same name would share its record and its directory.
    this.#modules.delete(module.name);
    objects.remove(module.name);
    this.#tellChange();
  }

  /** Shows a module as it is now. */
  show(module: ManagedModule): void {
    if (this.#modules.get(module.name) !== module) return;
    this.#parts.objects.put(module.name, module.properties());
    this.#tellChange();
  }

  #tellChange(): void {
    this.#backend.evictModules();
    this.#parts.onChange();
  }
}
