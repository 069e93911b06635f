import type { Via } from '../../dbus/client/via.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { CloudError } from '../cloud/cloud.ts';
import type { SavedDevice, SavedModule } from '../state.ts';
import type { Hub, HubModule } from './hub.ts';
import type { ModuleKeyring } from './module-keys.ts';
import { isOf, type SavedModules } from './saved-modules.ts';

/** What registrations are made with. */
export interface RegistrationParts {
  readonly saved: SavedModules;
  readonly keyring: ModuleKeyring;
  /** The saved device; throws NotProvisioned. */
  readonly device: () => SavedDevice;
  readonly hub: (device: SavedDevice) => Hub;
  readonly log: Log;
}

/** The desired state of a module on the hub. */
export interface Wanted {
  /** Undefined: as it is, or in our name. */
  readonly managedBy: string | undefined;
  /** Also one that other software made, unless it has a manager of its own. */
  readonly adopt: boolean;
}

const ourName = 'iotedge';

/**
 * The registration of one module with the hub. A module on the hub is ours when our record names it with the same
 * generation; every other one belongs to other software, and is taken over only with `adopt`.
 *
 *   (none) ─► asking ─► creating ─► creating, with its generation ─► complete ─► updating ─► complete
 *               └── adopted: the generation that was read ──▲
 *
 * Each arrow is saved before the request that follows from it. A record that is `creating` without a generation says that
 * the hub had no such module, may have made ours, and could not be asked whether it did.
 */
export class Registration {
  readonly #parts: RegistrationParts;
  readonly #id: ModuleId;
  readonly #via: Via;
  readonly #device: SavedDevice;
  readonly #hub: Hub;

  /** NotProvisioned without a device. */
  constructor(parts: RegistrationParts, id: ModuleId, via: Via) {
    this.#parts = parts;
    this.#id = id;
    this.#via = via;
    this.#device = parts.device();
    this.#hub = parts.hub(this.#device);
  }

  /** Registers the module and gives it its keys, or completes what an interrupted call has left. */
  async create(wanted: Wanted): Promise<SavedModule> {
    const before = this.#own();
    const { managedBy } = wanted;
    // what could not be completed has the manager that is asked for next
    const isMade = before?.phase === 'complete' || before?.phase === 'updating';
    if (isMade && managedBy !== undefined && !isSame(managedBy, before.managedBy)) {
      throw taken(this.#id, before.managedBy);
    }
    if (before?.phase === 'complete') return before;
    const ours = managedBy ?? before?.managedBy ?? ourName;
    const intent = before ?? this.#record(ours, 'asking');
    return this.#withIntent(async () => {
      if (before === undefined) await this.#parts.saved.save(intent);
      const found = await this.#hub.get(this.#id, this.#via);
      if (found === undefined) return this.#make(ours);
      if (isOurs(found, intent)) return this.#giveKeys({ ...found, managedBy: ours });
      return this.#adopt(found, wanted);
    });
  }

  /** Writes the keys of a module again, for its present generation. */
  async update(wanted: Wanted): Promise<SavedModule> {
    const { saved } = this.#parts;
    const before = saved.usable(this.#id);
    if (before === undefined && !wanted.adopt) throw absent(this.#id);
    return this.#withIntent(async () => {
      await saved.save(
        before === undefined ? this.#record(ourName, 'asking') : { ...before, phase: 'updating' },
      );
      const found = await this.#hub.get(this.#id, this.#via);
      if (found === undefined) {
        throw new ServiceError('NotFound', `the hub has no module "${this.#id}"`);
      }
      if (before === undefined || !isOurs(found, before)) return this.#adopt(found, wanted);
      return this.#giveKeys({ ...found, managedBy: wanted.managedBy ?? before.managedBy });
    });
  }

  /** Removes the module from the hub, where it is ours or may be adopted, then from here. */
  async delete({ adopt }: Pick<Wanted, 'adopt'>): Promise<void> {
    const { saved } = this.#parts;
    saved.refuseUndeletable(this.#id);
    const isDamaged = saved.damaged.has(this.#id);
    const record = saved.get(this.#id);
    if (record === undefined && !isDamaged && !adopt) throw absent(this.#id);
    // what the present hub has under the id of an earlier device's module is not ours
    const isEarlier = record !== undefined && !isOf(record, this.#device);
    if (!isEarlier) await this.#deleteOnHub({ record, isDamaged, adopt });
    else if (adopt) await this.#deleteOnHub({ record: undefined, isDamaged: true, adopt });
    await saved.delete(this.#id);
    this.#log('module identity deleted');
  }

  async #deleteOnHub({
    record,
    isDamaged,
    adopt,
  }: {
    readonly record: SavedModule | undefined;
    readonly isDamaged: boolean;
    readonly adopt: boolean;
  }): Promise<void> {
    const found = await this.#hub.get(this.#id, this.#via);
    if (found === undefined) {
      if (record === undefined && !isDamaged) throw absent(this.#id);
      return;
    }
    if (record === undefined || !isOurs(found, record)) {
      // another generation under the id of ours is other software's, and stays
      if (record !== undefined && !adopt) return;
      this.#refuseManaged(found, undefined);
    }
    await this.#hub.delete({ moduleId: this.#id, etag: found.etag }, this.#via);
  }

  /** What is saved of the module, unless it is of an earlier device. */
  #own(): SavedModule | undefined {
    const { saved } = this.#parts;
    saved.refuseDamaged(this.#id);
    const record = saved.get(this.#id);
    return record !== undefined && isOf(record, this.#device) ? record : undefined;
  }

  async #make(managedBy: string): Promise<SavedModule> {
    const { saved } = this.#parts;
    await saved.save(this.#record(managedBy, 'creating'));
    const made = await this.#askToMake(managedBy);
    if (made !== undefined) return this.#giveKeys({ ...made, managedBy });
    await saved.save(this.#record(managedBy, 'asking'));
    const message = `another client has made module "${this.#id}" on the hub meanwhile: try again`;
    throw new ServiceError('Unavailable', message);
  }

  async #askToMake(managedBy: string): Promise<HubModule | undefined> {
    try {
      return await this.#hub.create(this.#id, managedBy, this.#via);
    } catch (error) {
      await this.#settle(managedBy, error);
      throw error;
    }
  }

  /**
   * Finds out, where the hub can be asked, whether a request that failed has made the module: what has its name from now
   * on and is not of the generation that is saved, other software made.
   */
  async #settle(managedBy: string, failure: unknown): Promise<void> {
    const { saved, log } = this.#parts;
    try {
      const made = isRefusal(failure) ? undefined : await this.#hub.get(this.#id, this.#via);
      const isMade = made !== undefined && isSame(made.managedBy, managedBy);
      const phase = isMade ? 'creating' : 'asking';
      await saved.save(this.#record(managedBy, phase, isMade ? made.generationId : ''));
    } catch (error) {
      log.debug('outcome of a failed creation unknown', {
        moduleId: this.#id,
        requestId: this.#via.requestId,
        error: describeError(error),
      });
    }
  }

  /** Removes the intent when the action fails before a request that changes the hub. */
  async #withIntent<T>(act: () => Promise<T>): Promise<T> {
    const { saved, log } = this.#parts;
    try {
      return await act();
    } catch (error) {
      try {
        if (saved.get(this.#id)?.phase === 'asking') await saved.delete(this.#id);
      } catch (again) {
        log.warn('intent not removed', { moduleId: this.#id, error: describeError(again) });
      }
      throw error;
    }
  }

  async #adopt(found: HubModule, { managedBy, adopt }: Wanted): Promise<SavedModule> {
    const { saved } = this.#parts;
    try {
      this.#refuseManaged(found, managedBy);
      if (!adopt) throw notAdopted(this.#id, found.managedBy);
    } catch (error) {
      if (saved.usable(this.#id) === undefined) await saved.delete(this.#id);
      throw error;
    }
    this.#log('module identity adopted', { managedBy: found.managedBy });
    return this.#giveKeys({ ...found, managedBy: managedBy ?? (found.managedBy || ourName) });
  }

  /** AlreadyExists for a module that has a manager other than us and Azure's own services. */
  #refuseManaged({ managedBy }: HubModule, ours: string | undefined): void {
    const free = ['', ourName, ours ?? ourName];
    if (!free.some((name) => isSame(name, managedBy))) throw taken(this.#id, managedBy);
  }

  async #giveKeys(module: HubModule): Promise<SavedModule> {
    const { saved, keyring } = this.#parts;
    const { generationId, managedBy, etag } = module;
    const before = saved.get(this.#id);
    if (before?.phase !== 'updating' || before.generationId !== generationId) {
      await saved.save(this.#record(managedBy, 'creating', generationId));
    }
    await keyring.ensureBase(this.#via);
    const named = { moduleId: this.#id, generationId };
    const updated = await keyring.withKeys(named, this.#via, (keys) =>
      this.#hub.setKeys({ moduleId: this.#id, managedBy, etag }, keys, this.#via),
    );
    if (updated?.generationId !== generationId) {
      throw new ServiceError('Unavailable', `module "${this.#id}" changed on the hub: try again`);
    }
    const complete = this.#record(managedBy, 'complete', generationId);
    await saved.save(complete);
    this.#log('module identity registered', { generationId });
    return complete;
  }

  #log(message: string, more: Readonly<Record<string, string>> = {}): void {
    const { requestId } = this.#via;
    this.#parts.log.info(message, { moduleId: this.#id, ...more, requestId });
  }

  #record(managedBy: string, phase: SavedModule['phase'], generationId = ''): SavedModule {
    const { hubHostname, deviceId } = this.#device;
    return { moduleId: this.#id, managedBy, generationId, deviceId, hubHostname, phase };
  }
}

/** Whether the hub refused: after any other failure it may have made the module. */
function isRefusal(error: unknown): boolean {
  return error instanceof CloudError && error.status >= 400 && error.status < 500;
}

/** Whether our record names what the hub has. */
function isOurs({ generationId, managedBy }: HubModule, record: SavedModule): boolean {
  if (record.generationId !== '') return record.generationId === generationId;
  // the hub had none before it was asked to make it, and may have done so
  return record.phase === 'creating' && isSame(record.managedBy, managedBy);
}

/** Managers are compared as they are listed: Azure writes `IotEdge`, `iotEdge` and `iotedge`. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** No module identity of that id. */
export function absent(id: ModuleId): ServiceError {
  return new ServiceError('NotFound', `no module identity "${id}"`);
}

function taken(id: ModuleId, managedBy: string): ServiceError {
  return new ServiceError('AlreadyExists', `module "${id}" ${managerOf(managedBy)}`);
}

function notAdopted(id: ModuleId, managedBy: string): ServiceError {
  const message = `module "${id}" exists on the hub, ${managerOf(managedBy)}, and is not in our records: adopt it`;
  return new ServiceError('AlreadyExists', message);
}

function managerOf(managedBy: string): string {
  return managedBy === '' ? 'has no manager' : `is managed by ${managedBy}`;
}
