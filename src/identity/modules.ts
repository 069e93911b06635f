import type { Via } from '../dbus/via.ts';
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import type { ModuleId } from '../ids.ts';
import type { Log } from '../service/log.ts';
import { NewerFile, refuseUnusable } from '../service/state-file.ts';
import type { Hub, HubModule } from './hub.ts';
import type { ModuleKeyring } from './keys.ts';
import type { IdentityState, SavedDevice, SavedModule } from './state.ts';

/** More problems than this are not remembered. */
const maxRefused = 16;

/** What the module identities are made of. */
export interface ModuleIdentitiesOptions {
  readonly state: IdentityState;
  readonly keyring: ModuleKeyring;
  /** The saved device; throws NotProvisioned. */
  readonly device: () => SavedDevice;
  /** The saved device, when there is one. */
  readonly knownDevice: () => SavedDevice | undefined;
  readonly hub: (device: SavedDevice) => Hub;
  /** Told when `list` or `damaged` has changed. */
  readonly changed: () => void;
  readonly log: Log;
}

/** The identities of the modules. What is asked of one id happens one after the other. */
export class ModuleIdentities {
  readonly #options: ModuleIdentitiesOptions;
  readonly #known = new Map<ModuleId, SavedModule>();
  /** Ids whose file cannot be read: reported, and not replaced by anything but Delete. */
  readonly #damaged = new Map<ModuleId, string>();
  /** Ids whose last request the hub refused or did not answer. */
  readonly #refused = new Map<ModuleId, string>();
  /** Those of them that a newer version wrote: nothing replaces or removes them. */
  readonly #newer = new Map<ModuleId, NewerFile>();
  readonly #turns = new Map<ModuleId, Promise<unknown>>();

  private constructor(options: ModuleIdentitiesOptions) {
    this.#options = options;
  }

  /** The identities that are saved; incomplete ones wait for the call that completes them. */
  static async load(options: ModuleIdentitiesOptions): Promise<ModuleIdentities> {
    const modules = new ModuleIdentities(options);
    for (const id of await options.state.moduleIds()) await modules.#load(id);
    return modules;
  }

  /** What is wrong with files, by id, for Describe and Health. */
  get damaged(): ReadonlyMap<ModuleId, string> {
    return this.#damaged;
  }

  /** What the last request for an id failed of, until one succeeds. */
  get refused(): ReadonlyMap<ModuleId, string> {
    return this.#refused;
  }

  /** Why not all identities are known, undefined when they are. */
  get unlisted(): string | undefined {
    return this.#options.state.modulesFailure?.message;
  }

  list(): readonly SavedModule[] {
    return [...this.#known.values()].filter((module) => this.#isUsable(module));
  }

  /** NotFound when there is none, Unavailable when its file is damaged. */
  get(id: ModuleId): SavedModule {
    this.#refuseDamaged(id);
    const module = this.#known.get(id);
    if (module === undefined || !this.#isUsable(module)) throw absent(id);
    return module;
  }

  /** Registers a module with the hub, gives it its keys and remembers it. */
  create(id: ModuleId, managedBy: string, via: Via): Promise<SavedModule> {
    return this.#inTurn(id, async () => {
      this.#refuseDamaged(id);
      const device = this.#options.device();
      const known = this.#known.get(id);
      const before = known !== undefined && isOf(known, device) ? known : undefined;
      if (before !== undefined && before.managedBy !== managedBy) throw taken(id, before.managedBy);
      if (before?.phase === 'complete') return before;
      if (before?.phase !== 'updating') await this.#remember(intent(id, managedBy, device));
      return this.#complete(id, managedBy, via);
    });
  }

  /** Writes the keys of a module again, for its present generation. */
  update(id: ModuleId, managedBy: string | undefined, via: Via): Promise<SavedModule> {
    return this.#inTurn(id, async () => {
      const before = this.get(id);
      const found = await this.#options.hub(this.#options.device()).get(id, via);
      if (found === undefined) throw new ServiceError('NotFound', `the hub has no module "${id}"`);
      // the keys follow from the generation: those of another one have stopped working
      const works = found.generationId === before.generationId;
      await this.#remember({ ...before, phase: works ? 'updating' : 'creating' });
      return this.#giveKeys({ ...found, managedBy: managedBy ?? before.managedBy }, via);
    });
  }

  /** Removes a module from the hub, then from here. */
  delete(id: ModuleId, via: Via): Promise<void> {
    return this.#inTurn(id, async () => {
      refuseUnusable(this.#options.state.modulesFailure);
      refuseUnusable(this.#newer.get(id));
      if (!this.#known.has(id) && !this.#damaged.has(id)) throw absent(id);
      const device = this.#options.device();
      const known = this.#known.get(id);
      // what the present hub has under the id of an earlier device's module is not ours
      if (known === undefined || isOf(known, device)) {
        await this.#options.hub(device).delete(id, via);
      }
      await this.#forget(id);
      this.#options.log.info('module identity deleted', { moduleId: id });
    });
  }

  async #complete(id: ModuleId, managedBy: string, via: Via): Promise<SavedModule> {
    const hub = this.#options.hub(this.#options.device());
    const made = (await hub.create(id, managedBy, via)) ?? (await hub.get(id, via));
    if (made === undefined) {
      throw new ServiceError('Unavailable', `module "${id}" came and went on the hub: try again`);
    }
    if (made.managedBy !== managedBy) {
      await this.#forget(id);
      throw taken(id, made.managedBy);
    }
    return this.#giveKeys(made, via);
  }

  async #giveKeys(module: HubModule, via: Via): Promise<SavedModule> {
    const device = this.#options.device();
    const { hubHostname, deviceId } = device;
    const { moduleId, generationId, managedBy } = module;
    const { keyring, hub } = this.#options;
    await keyring.ensureBase(via);
    const updated = await keyring.withKeys({ moduleId, generationId }, via, (keys) =>
      hub(device).setKeys({ moduleId, managedBy }, keys, via),
    );
    if (updated?.generationId !== generationId) {
      throw new ServiceError('Unavailable', `module "${moduleId}" changed on the hub: try again`);
    }
    const saved: SavedModule = {
      moduleId,
      managedBy,
      generationId,
      deviceId,
      hubHostname,
      phase: 'complete',
    };
    await this.#remember(saved);
    this.#options.log.info('module identity registered', { moduleId, generationId });
    return saved;
  }

  async #remember(module: SavedModule): Promise<void> {
    await this.#options.state.saveModule(module);
    this.#known.set(module.moduleId, module);
    this.#options.changed();
  }

  async #forget(id: ModuleId): Promise<void> {
    await this.#options.state.deleteModule(id);
    this.#known.delete(id);
    this.#damaged.delete(id);
    this.#options.changed();
  }

  async #load(id: ModuleId): Promise<void> {
    try {
      const module = await this.#options.state.module(id);
      if (module !== undefined) this.#known.set(id, module);
    } catch (error) {
      this.#damaged.set(id, describeError(error));
      if (error instanceof NewerFile) this.#newer.set(id, error);
      this.#options.log.error('module identity damaged', { moduleId: id });
    }
  }

  /** Whether its keys work: it is complete, and of the device that this one is now. */
  #isUsable(module: SavedModule): boolean {
    const device = this.#options.knownDevice();
    return module.phase !== 'creating' && (device === undefined || isOf(module, device));
  }

  #refuseDamaged(id: ModuleId): void {
    const why = this.#damaged.get(id) ?? this.unlisted;
    if (why === undefined) return;
    throw new ServiceError('Unavailable', `the file of module "${id}" cannot be used: ${why}`);
  }

  async #noteRefusal<T>(id: ModuleId, act: () => Promise<T>): Promise<T> {
    try {
      const outcome = await act();
      if (this.#refused.delete(id)) this.#options.changed();
      return outcome;
    } catch (error) {
      // what a caller asked for in vain is between the two
      if (isServiceError(error, 'Unavailable')) {
        this.#refused.delete(id);
        this.#refused.set(id, error.message);
        const [oldest] = this.#refused.keys();
        if (this.#refused.size > maxRefused && oldest !== undefined) this.#refused.delete(oldest);
        this.#options.changed();
      }
      throw error;
    }
  }

  /** Waits for what is under way for the id, whatever became of it. */
  #inTurn<T>(id: ModuleId, act: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const noted = (): Promise<T> => this.#noteRefusal(id, act);
    const turn = before.then(noted, noted);
    const settled = turn.catch(() => undefined); // its caller is told
    this.#turns.set(id, settled);
    void settled.then(() => {
      if (this.#turns.get(id) === settled) this.#turns.delete(id);
    });
    return turn;
  }
}

function isOf(module: SavedModule, { hubHostname, deviceId }: SavedDevice): boolean {
  return module.hubHostname === hubHostname && module.deviceId === deviceId;
}

function intent(id: ModuleId, managedBy: string, device: SavedDevice): SavedModule {
  const { hubHostname, deviceId } = device;
  return { moduleId: id, managedBy, generationId: '', deviceId, hubHostname, phase: 'creating' };
}

function absent(id: ModuleId): ServiceError {
  return new ServiceError('NotFound', `no module identity "${id}"`);
}

function taken(id: ModuleId, managedBy: string): ServiceError {
  return new ServiceError('AlreadyExists', `module "${id}" is managed by ${managedBy || 'nobody'}`);
}
