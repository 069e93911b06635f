import { type Via, within } from '../../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import type { ModuleId } from '../../../ids.ts';
import type { Log } from '../../../service/log/log.ts';
import type { Clients } from '../../clients.ts';
import type { Identities } from '../../identities.ts';

/** An identity of a module in the terms of the API. */
export interface ManagedIdentity {
  readonly moduleId: string;
  /** `iotedge` for one that we have registered or adopted, `` for one of other software: an agent leaves that alone. */
  readonly managedBy: string;
  readonly generationId: string;
}

/** The part of the Identity service that the identities of the management API need. */
export type HubIdentitiesClient = Pick<
  Clients['identity'],
  | 'ListModuleIdentities'
  | 'GetModuleIdentity'
  | 'CreateModuleIdentity'
  | 'UpdateModuleIdentity'
  | 'DeleteModuleIdentity'
  | 'Reprovision'
>;

type IdentityRecord = Awaited<ReturnType<HubIdentitiesClient['GetModuleIdentity']>>['identity'];

/** Dependencies of HubIdentities. */
export interface HubIdentitiesParts {
  readonly client: HubIdentitiesClient;
  /** Those that the runtime registers by itself. */
  readonly identities: Pick<Identities, 'release' | 'reclaim'>;
  readonly log: Log;
  /** How long a list waits for the hub. */
  readonly listMs?: number;
  /** How long a change waits for the hub; the client's own limit is 5 min. */
  readonly changeMs?: number;
}

const manager = 'iotedge';

/** The identities that the hub has for this device, as the agent manages them. */
export class HubIdentities {
  readonly #client: HubIdentitiesClient;
  readonly #identities: HubIdentitiesParts['identities'];
  readonly #log: Log;
  readonly #listMs: number;
  readonly #changeMs: number;

  constructor(parts: HubIdentitiesParts) {
    const { client, identities, log, listMs = 10_000, changeMs = 120_000 } = parts;
    this.#client = client;
    this.#identities = identities;
    this.#log = log;
    this.#listMs = listMs;
    this.#changeMs = changeMs;
  }

  /** All that the hub has; the saved ones when it does not respond in time. */
  async list(via: Via): Promise<readonly ManagedIdentity[]> {
    try {
      return (await this.#onHub(via)).map(managed);
    } catch (error) {
      if (!isServiceError(error) || via.signal.aborted) throw error;
      this.#log.info('saved identities listed instead of those of the hub', {
        requestId: via.requestId,
        reason: describeError(error),
      });
      const { identities } = await this.#client.ListModuleIdentities({}, via);
      return identities.map(managed);
    }
  }

  /** Registers a module, or takes over what Azure's services registered; AlreadyExists for one of other software. */
  async create(moduleId: ModuleId, via: Via): Promise<ManagedIdentity> {
    this.#identities.reclaim(moduleId);
    const request = { module_id: moduleId, options: { adopt: true } };
    const { identity } = await this.#client.CreateModuleIdentity(request, this.#change(via));
    return managed(identity);
  }

  /** Writes the keys of a module again; AlreadyExists when it has another generation or is of other software. */
  async update(moduleId: ModuleId, generationId: string, via: Via): Promise<ManagedIdentity> {
    assertGeneration(await this.#find(moduleId, via), generationId);
    const request = { module_id: moduleId, options: { adopt: true } };
    const { identity } = await this.#client.UpdateModuleIdentity(request, this.#change(via));
    // it may have been registered anew meanwhile
    assertGeneration(identity, generationId);
    return managed(identity);
  }

  /** Removes a module that we have registered or adopted; AlreadyExists for any other one on the hub. */
  async delete(moduleId: ModuleId, via: Via): Promise<void> {
    const found = await this.#find(moduleId, via);
    if (found.key_id === '') {
      const text = `module "${moduleId}" was registered by other software and is not adopted`;
      throw new ServiceError('AlreadyExists', text);
    }
    // not later: the deletion is announced before its reply
    this.#identities.release(moduleId);
    try {
      await this.#client.DeleteModuleIdentity({ module_id: moduleId }, this.#change(via));
    } catch (error) {
      this.#identities.reclaim(moduleId);
      throw error;
    }
  }

  /** Begins to provision the device again; the saved result stays until there is a new one. */
  async reprovision(via: Via): Promise<void> {
    await this.#client.Reprovision({ options: { wait: false } }, via);
  }

  /** Our own record, else what the hub has; NotFound without either. */
  async #find(moduleId: ModuleId, via: Via): Promise<IdentityRecord> {
    try {
      const { identity } = await this.#client.GetModuleIdentity({ module_id: moduleId }, via);
      return identity;
    } catch (error) {
      if (!isServiceError(error, 'NotFound')) throw error;
    }
    const found = (await this.#onHub(via)).find((one) => one.module_id === moduleId);
    if (found === undefined) throw new ServiceError('NotFound', `no identity "${moduleId}"`);
    return found;
  }

  async #onHub(via: Via): Promise<readonly IdentityRecord[]> {
    const call = within(this.#listMs, via);
    const request = { options: { refresh: true } };
    return (await this.#client.ListModuleIdentities(request, call)).identities;
  }

  #change(via: Via) {
    return within(this.#changeMs, via);
  }
}

function managed({ module_id, generation_id, key_id }: IdentityRecord): ManagedIdentity {
  // other software's have no key of ours
  const managedBy = key_id === '' ? '' : manager;
  return { moduleId: module_id, managedBy, generationId: generation_id };
}

function assertGeneration(
  { module_id, generation_id }: IdentityRecord,
  generationId: string,
): void {
  if (generation_id === generationId) return;
  throw new ServiceError('AlreadyExists', `module "${module_id}" has another generation id`);
}
