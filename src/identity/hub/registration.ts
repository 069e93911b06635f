import type { Via } from '../../dbus/client/via.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { CloudError } from '../cloud/cloud.ts';
import type { SavedDevice, SavedModule } from '../state.ts';
import type { Hub, HubModule } from './hub.ts';
import type { ModuleKeyring } from './module-keys.ts';
import { isOf, type SavedModules } from './saved-modules.ts';

/** The parts that registrations use. */
export interface RegistrationParts {
  readonly saved: SavedModules;
  readonly keyring: ModuleKeyring;
  /** The saved device; throws NotProvisioned. */
  readonly device: () => SavedDevice;
  readonly hub: (device: SavedDevice) => Hub;
  readonly log: Log;
}

/** The desired state of a module on the hub. */
export interface DesiredModule {
  /** Undefined: the current manager, or us. */
  readonly managedBy: string | undefined;
  /** Also a module that other software created, unless another manager owns it. */
  readonly adopt: boolean;
}

const ourName = 'iotedge';

/**
 * The registration of one module with the hub. A module on the hub is ours when our record names it with the same
 * generation; every other one belongs to other software, and is adopted only with `adopt`.
 *
 *   (none) ─► asking ─► creating ─► creating, with its generation ─► complete ─► updating ─► complete
 *               └── adopted: with the generation on the hub ─▲
 *
 * Each state is saved before the request that it allows. A record that is `creating` without a generation means that
 * the hub had no such module, may have created ours, and could not be reached to find out.
 */
export class Registration {
  readonly #parts: RegistrationParts;
  readonly #id: ModuleId;
  readonly #via: Via;
  readonly #device: SavedDevice;
  readonly #hub: Hub;

  /** Throws NotProvisioned without a device. */
  constructor(parts: RegistrationParts, id: ModuleId, via: Via) {
    this.#parts = parts;
    this.#id = id;
    this.#via = via;
    this.#device = parts.device();
    this.#hub = parts.hub(this.#device);
  }

  /** Registers the module and sets its keys, or completes an interrupted registration. */
  async create(desired: DesiredModule): Promise<SavedModule> {
    const before = this.#own();
    const { managedBy } = desired;
    // an incomplete registration gets the manager of the next request
    const isRegistered = before?.phase === 'complete' || before?.phase === 'updating';
    if (isRegistered && managedBy !== undefined && !isSame(managedBy, before.managedBy)) {
      throw taken(this.#id, before.managedBy);
    }
    if (before?.phase === 'complete') return before;
    const ours = managedBy ?? before?.managedBy ?? ourName;
    const intent = before ?? this.#record(ours, 'asking');
    return this.#withPendingOperation(async () => {
      if (before === undefined) await this.#parts.saved.save(intent);
      const found = await this.#hub.get(this.#id, this.#via);
      if (found === undefined) return this.#register(ours);
      if (isOurs(found, intent)) return this.#setKeys({ ...found, managedBy: ours });
      return this.#adopt(found, desired);
    });
  }

  /** Sets the keys of a module again, for its current generation. */
  async update(desired: DesiredModule): Promise<SavedModule> {
    const { saved } = this.#parts;
    const before = saved.usable(this.#id);
    if (before === undefined && !desired.adopt) throw absent(this.#id);
    return this.#withPendingOperation(async () => {
      await saved.save(
        before === undefined ? this.#record(ourName, 'asking') : { ...before, phase: 'updating' },
      );
      const found = await this.#hub.get(this.#id, this.#via);
      if (found === undefined) {
        throw new ServiceError('NotFound', `the hub has no module "${this.#id}"`);
      }
      if (before === undefined || !isOurs(found, before)) return this.#adopt(found, desired);
      return this.#setKeys({ ...found, managedBy: desired.managedBy ?? before.managedBy });
    });
  }

  /** Removes the module from the hub, if it is ours or may be adopted, then its record. */
  async delete({ adopt }: Pick<DesiredModule, 'adopt'>): Promise<void> {
    const { saved } = this.#parts;
    saved.assertRemovable(this.#id);
    const isDamaged = saved.damaged.has(this.#id);
    const record = saved.get(this.#id);
    if (record === undefined && !isDamaged && !adopt) throw absent(this.#id);
    // a module with the id of one of an earlier device is not ours
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
      // another generation with the id of ours belongs to other software, and stays
      if (record !== undefined && !adopt) return;
      this.#assertUnmanaged(found, undefined);
    }
    await this.#hub.delete({ moduleId: this.#id, etag: found.etag }, this.#via);
  }

  /** The record of the module, unless it is of an earlier device. */
  #own(): SavedModule | undefined {
    const { saved } = this.#parts;
    saved.assertReadable(this.#id);
    const record = saved.get(this.#id);
    return record !== undefined && isOf(record, this.#device) ? record : undefined;
  }

  async #register(managedBy: string): Promise<SavedModule> {
    const { saved } = this.#parts;
    await saved.save(this.#record(managedBy, 'creating'));
    const created = await this.#requestCreation(managedBy);
    if (created !== undefined) return this.#setKeys({ ...created, managedBy });
    await saved.save(this.#record(managedBy, 'asking'));
    const message = `another client has created module "${this.#id}" on the hub meanwhile: try again`;
    throw new ServiceError('Unavailable', message);
  }

  async #requestCreation(managedBy: string): Promise<HubModule | undefined> {
    try {
      return await this.#hub.create(this.#id, managedBy, this.#via);
    } catch (error) {
      await this.#settle(managedBy, error);
      throw error;
    }
  }

  /**
   * Finds out, when the hub is reachable, whether a failed request has created the module: from then on one with its
   * name and another generation than the saved one was created by other software.
   */
  async #settle(managedBy: string, failure: unknown): Promise<void> {
    const { saved, log } = this.#parts;
    try {
      const found = isRefusal(failure) ? undefined : await this.#hub.get(this.#id, this.#via);
      const exists = found !== undefined && isSame(found.managedBy, managedBy);
      const phase = exists ? 'creating' : 'asking';
      await saved.save(this.#record(managedBy, phase, exists ? found.generationId : ''));
    } catch (error) {
      log.debug('result of a failed creation unknown', {
        moduleId: this.#id,
        requestId: this.#via.requestId,
        error: describeError(error),
      });
    }
  }

  /** Removes the pending operation when the action fails before a request that changes the hub. */
  async #withPendingOperation<T>(act: () => Promise<T>): Promise<T> {
    const { saved, log } = this.#parts;
    try {
      return await act();
    } catch (error) {
      try {
        if (saved.get(this.#id)?.phase === 'asking') await saved.delete(this.#id);
      } catch (again) {
        log.warn('pending operation not removed', {
          moduleId: this.#id,
          error: describeError(again),
        });
      }
      throw error;
    }
  }

  async #adopt(found: HubModule, { managedBy, adopt }: DesiredModule): Promise<SavedModule> {
    const { saved } = this.#parts;
    try {
      this.#assertUnmanaged(found, managedBy);
      if (!adopt) throw notAdopted(this.#id, found.managedBy);
    } catch (error) {
      if (saved.usable(this.#id) === undefined) await saved.delete(this.#id);
      throw error;
    }
    this.#log('module identity adopted', { managedBy: found.managedBy });
    return this.#setKeys({ ...found, managedBy: managedBy ?? (found.managedBy || ourName) });
  }

  /** AlreadyExists for a module that has a manager other than us and Azure's own services. */
  #assertUnmanaged({ managedBy }: HubModule, ours: string | undefined): void {
    const free = ['', ourName, ours ?? ourName];
    if (!free.some((name) => isSame(name, managedBy))) throw taken(this.#id, managedBy);
  }

  async #setKeys(module: HubModule): Promise<SavedModule> {
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

/** Whether the hub rejected the request: after any other failure it may have created the module. */
function isRefusal(error: unknown): boolean {
  return error instanceof CloudError && error.status >= 400 && error.status < 500;
}

/** Whether our record is of the module on the hub. */
function isOurs({ generationId, managedBy }: HubModule, record: SavedModule): boolean {
  if (record.generationId !== '') return record.generationId === generationId;
  // the hub had no such module before the request that may have created it
  return record.phase === 'creating' && isSame(record.managedBy, managedBy);
}

/** Compares managers without case: Azure writes `IotEdge`, `iotEdge` and `iotedge`. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** NotFound for a module identity. */
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
