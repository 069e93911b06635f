import type { Via } from '../../dbus/client/via.ts';
import { isServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import { KeyedMutex } from '../../service/mutex.ts';
import { SharedReads } from '../../service/shared-reads.ts';
import type { SavedModule } from '../state.ts';
import type { HubModule } from './hub.ts';
import {
  absent,
  type DesiredModule,
  Registration,
  type RegistrationParts,
} from './registration.ts';
import { SavedModules, type SavedModulesOptions } from './saved-modules.ts';

/** The oldest failures beyond are evicted. */
const maxRefused = 16;
/** Every local user may list the modules of the hub: one request serves all calls within this time. */
const listSharedMs = 5000;

/** The parts of ModuleIdentities. */
export interface ModuleIdentitiesOptions
  extends SavedModulesOptions,
    Omit<RegistrationParts, 'saved' | 'log'> {}

/** The identities of the modules. Calls for one id are serialized. */
export class ModuleIdentities {
  readonly #options: ModuleIdentitiesOptions;
  readonly #saved: SavedModules;
  /** Ids whose last request to the hub failed, with the reason. */
  readonly #refused = new Map<ModuleId, string>();
  readonly #calls = new KeyedMutex<ModuleId>();
  readonly #lists = new SharedReads<readonly HubModule[]>({ sharedMs: listSharedMs });

  /** Publishes the saved identities; incomplete ones wait for the call that completes them. */
  constructor(options: ModuleIdentitiesOptions) {
    this.#options = options;
    this.#saved = new SavedModules(options);
  }

  /** The problems of files, by id, for Describe and Health. */
  get damaged(): ReadonlyMap<ModuleId, string> {
    return this.#saved.damaged;
  }

  /** The reason why the last request for an id failed, until one succeeds. */
  get refused(): ReadonlyMap<ModuleId, string> {
    return this.#refused;
  }

  /** Why the identities cannot be listed; undefined when they can. */
  get unlisted(): string | undefined {
    return this.#saved.unlisted;
  }

  /** Throws Unavailable when the identities cannot be listed. */
  assertListed(): void {
    this.#saved.assertListed();
  }

  list(): readonly SavedModule[] {
    return this.#saved.list();
  }

  /** The modules on the hub, each with our saved identity when it is complete. */
  async listOnHub(
    via: Via,
  ): Promise<readonly { readonly found: HubModule; readonly saved: SavedModule | undefined }[]> {
    const device = this.#options.device();
    const key = `${device.hubHostname}/${device.deviceId}`;
    const { requestId } = via;
    const read = (signal: AbortSignal) => this.#options.hub(device).list({ requestId, signal });
    const modules = await this.#lists.get(key, read, via.signal);
    const saved = new Map<string, SavedModule>(this.list().map((one) => [one.moduleId, one]));
    return modules.map((found) => {
      const own = saved.get(found.moduleId);
      return { found, saved: own?.generationId === found.generationId ? own : undefined };
    });
  }

  /** The identity; NotFound when there is none, Unavailable when its file is damaged. */
  get(id: ModuleId): SavedModule {
    const module = this.#saved.usable(id);
    if (module === undefined) throw absent(id);
    return module;
  }

  /** The identity that a creation would result in, when it exists already. */
  existing(id: ModuleId, { managedBy }: DesiredModule): SavedModule | undefined {
    const module = this.#saved.usable(id);
    if (module?.phase !== 'complete') return undefined;
    const isSame = managedBy?.toLowerCase() === module.managedBy.toLowerCase();
    return managedBy === undefined || isSame ? module : undefined;
  }

  /** Throws NotFound when there is nothing to delete, Unavailable when it may not be deleted. */
  assertDeletable(id: ModuleId, { adopt }: Pick<DesiredModule, 'adopt'>): void {
    this.#saved.assertRemovable(id);
    const exists = this.#saved.get(id) !== undefined || this.damaged.has(id);
    if (!exists && !adopt) throw absent(id);
  }

  /** Registers a module with the hub, sets its keys and saves it. */
  create(id: ModuleId, desired: DesiredModule, via: Via): Promise<SavedModule> {
    return this.#inTurn(id, () => this.#registration(id, via).create(desired));
  }

  /** Sets the keys of a module again, for its current generation. */
  update(id: ModuleId, desired: DesiredModule, via: Via): Promise<SavedModule> {
    return this.#inTurn(id, () => this.#registration(id, via).update(desired));
  }

  /** Removes a module from the hub, then its record. */
  delete(id: ModuleId, desired: Pick<DesiredModule, 'adopt'>, via: Via): Promise<void> {
    return this.#inTurn(id, () => this.#registration(id, via).delete(desired));
  }

  #registration(id: ModuleId, via: Via): Registration {
    return new Registration({ ...this.#options, saved: this.#saved }, id, via);
  }

  async #noteRefusal<T>(id: ModuleId, act: () => Promise<T>): Promise<T> {
    try {
      const outcome = await act();
      if (this.#refused.delete(id)) this.#options.changed();
      return outcome;
    } catch (error) {
      // an invalid request is not a problem of the service
      const isReported = this.damaged.has(id) || this.unlisted !== undefined;
      if (isServiceError(error, 'Unavailable') && !isReported) this.#refuse(id, error.message);
      throw error;
    } finally {
      this.#lists.evictAll();
    }
  }

  #refuse(id: ModuleId, reason: string): void {
    this.#refused.delete(id);
    this.#refused.set(id, reason);
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > maxRefused && oldest !== undefined) this.#refused.delete(oldest);
    this.#options.changed();
  }

  #inTurn<T>(id: ModuleId, act: () => Promise<T>): Promise<T> {
    return this.#calls.run(id, () => this.#noteRefusal(id, act));
  }
}
