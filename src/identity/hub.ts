import type { Via } from '../dbus/via.ts';
import { ServiceError } from '../errors.ts';
import type { ModuleId } from '../ids.ts';
import { type CloudClient, type CloudRequest, failureOf, nameField, wordsField } from './cloud.ts';
import type { Assignment } from './provisioner.ts';

const apiVersion = 'api-version=2017-11-08-preview';

/** A module as the hub's registry has it. */
export interface HubModule {
  readonly moduleId: ModuleId;
  readonly managedBy: string;
  readonly generationId: string;
}

/** The two keys of a module. Whoever makes them wipes them. */
export interface ModuleKeys {
  readonly primary: Buffer;
  readonly secondary: Buffer;
}

/** The identity registry of the hub, asked as the device. All methods reject with CloudError. */
export class Hub {
  readonly #cloud: CloudClient;
  readonly #device: Assignment;

  constructor(cloud: CloudClient, device: Assignment) {
    this.#cloud = cloud;
    this.#device = device;
  }

  /** Registers a module without keys; undefined when there is one of that id already. */
  async create(moduleId: ModuleId, managedBy: string, via: Via): Promise<HubModule | undefined> {
    const body = { moduleId, deviceId: this.#device.deviceId, managedBy };
    return this.#module(moduleId, { method: 'PUT', body, absent: 409 }, via);
  }

  /** The module; undefined when there is none. */
  get(moduleId: ModuleId, via: Via): Promise<HubModule | undefined> {
    return this.#module(moduleId, { method: 'GET', absent: 404 }, via);
  }

  /** Gives a module its keys; undefined when there is no such module. */
  async setKeys(
    { moduleId, managedBy }: Pick<HubModule, 'moduleId' | 'managedBy'>,
    keys: ModuleKeys,
    via: Via,
  ): Promise<HubModule | undefined> {
    const symmetricKey = {
      primaryKey: keys.primary.toString('base64'),
      secondaryKey: keys.secondary.toString('base64'),
    };
    const body = {
      moduleId,
      deviceId: this.#device.deviceId,
      managedBy,
      authentication: { type: 'sas', symmetricKey },
    };
    const headers = { 'if-match': '*' };
    return this.#module(moduleId, { method: 'PUT', body, headers, absent: 404 }, via);
  }

  /** Removes a module; one that is not there is no failure. */
  async delete(moduleId: ModuleId, via: Via): Promise<void> {
    const url = this.#url(moduleId);
    const request: CloudRequest = { method: 'DELETE', url, headers: { 'if-match': '*' } };
    const answer = await this.#cloud.send(request, via);
    if (answer.status !== 204 && answer.status !== 200 && answer.status !== 404) {
      throw failureOf(`removing module ${moduleId} from the hub`, answer);
    }
  }

  async #module(
    moduleId: ModuleId,
    { absent, ...request }: Omit<CloudRequest, 'url'> & { readonly absent: number },
    via: Via,
  ): Promise<HubModule | undefined> {
    const answer = await this.#cloud.send({ ...request, url: this.#url(moduleId) }, via);
    if (answer.status === absent) return undefined;
    const what = `${request.method} of module ${moduleId} on ${this.#device.hubHostname}`;
    if (answer.status !== 200 && answer.status !== 201) throw failureOf(what, answer);
    const generationId = nameField(answer.body, 'generationId');
    if (nameField(answer.body, 'moduleId') !== moduleId || generationId === undefined) {
      throw new ServiceError('Unavailable', `${what}: the answer is not about it`);
    }
    return { moduleId, generationId, managedBy: wordsField(answer.body, 'managedBy') ?? '' };
  }

  #url(moduleId: ModuleId): string {
    const { hubHostname, deviceId } = this.#device;
    const module = encodeURIComponent(moduleId);
    return `https://${hubHostname}/devices/${encodeURIComponent(deviceId)}/modules/${module}?${apiVersion}`;
  }
}
