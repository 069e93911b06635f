import { setTimeout as delay } from 'node:timers/promises';
import type { Via } from '../../dbus/client/via.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import type { ModuleId } from '../../ids.ts';
import {
  type CloudClient,
  type CloudRequest,
  type CloudResponse,
  failureOf,
  fieldOf,
  nameField,
  wordsField,
} from '../cloud/cloud.ts';
import type { AssignedDevice } from '../provisioners/provisioner.ts';

const apiVersion = 'api-version=2017-11-08-preview';
/** How often a throttled request is retried, and the longest Retry-After that is waited for. */
const maxRetries = 3;
const maxRetryAfterS = 10;
const minRetryAfterS = 1;

/** A module in the registry of the hub. */
export interface HubModule {
  readonly moduleId: string;
  /** Empty when it has no manager. */
  readonly managedBy: string;
  readonly generationId: string;
  /** Identifies the version of the module; `*` where the hub sends none. */
  readonly etag: string;
  /** The type of authentication: `sas`, `selfSigned`, `certificateAuthority` or `none`. */
  readonly authentication: string;
}

/** The two keys of a module. Their creator wipes them. */
export interface ModuleKeys {
  readonly primary: Buffer;
  readonly secondary: Buffer;
}

/** A device at its hub. */
export interface HubDevice extends AssignedDevice {
  /** `host[:port]` to send the requests to; undefined for the hub itself. */
  readonly gatewayHostname?: string | undefined;
}

/** Waits before a retry. */
type Delay = (ms: number, signal: AbortSignal) => Promise<unknown>;

/**
 * The identity registry of the hub, accessed as the device. All methods reject with CloudError; those that change a
 * module require the version of its `etag`, else they reject with Unavailable.
 */
export class Hub {
  readonly #cloud: CloudClient;
  readonly #device: HubDevice;
  readonly #delay: Delay;

  constructor(
    cloud: CloudClient,
    device: HubDevice,
    wait: Delay = (ms, signal) => delay(ms, undefined, { signal }),
  ) {
    this.#cloud = cloud;
    this.#device = device;
    this.#delay = wait;
  }

  /** Registers a module, for which the hub generates keys; undefined when the id exists already. */
  create(moduleId: ModuleId, managedBy: string, via: Via): Promise<HubModule | undefined> {
    const body = { moduleId, deviceId: this.#device.deviceId, managedBy };
    return this.#module(moduleId, { method: 'PUT', body, absent: 409 }, via);
  }

  /** Reads a module; undefined when there is none. */
  get(moduleId: ModuleId, via: Via): Promise<HubModule | undefined> {
    return this.#module(moduleId, { method: 'GET', absent: 404 }, via);
  }

  /** All modules of the device, also those of other software. */
  async list(via: Via): Promise<readonly HubModule[]> {
    const what = `GET of the modules on ${this.#place}`;
    const response = await this.#send({ method: 'GET', url: this.#url() }, via);
    if (response.status !== 200) throw failureOf(what, response);
    if (!Array.isArray(response.body)) {
      throw new ServiceError('Unavailable', `${what}: the response is not a list`);
    }
    return response.body.map((one: unknown) => moduleOf(one, what));
  }

  /** Sets the keys of a module; undefined when there is no such module. */
  async setKeys(
    { moduleId, managedBy, etag }: Pick<HubModule, 'managedBy' | 'etag'> & { moduleId: ModuleId },
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
    const headers = ifMatch(etag);
    return this.#module(moduleId, { method: 'PUT', body, headers, absent: 404 }, via);
  }

  /** Removes a module, if it exists. */
  async delete(
    { moduleId, etag }: Pick<HubModule, 'etag'> & { moduleId: ModuleId },
    via: Via,
  ): Promise<void> {
    const url = this.#url(moduleId);
    const response = await this.#send({ method: 'DELETE', url, headers: ifMatch(etag) }, via);
    const what = `DELETE of module ${moduleId} on ${this.#place}`;
    if (response.status === 412) throw changed(what);
    if (response.status !== 204 && response.status !== 200 && response.status !== 404) {
      throw failureOf(what, response);
    }
  }

  async #module(
    moduleId: ModuleId,
    { absent, ...request }: Omit<CloudRequest, 'url'> & { readonly absent: number },
    via: Via,
  ): Promise<HubModule | undefined> {
    const response = await this.#send({ ...request, url: this.#url(moduleId) }, via);
    if (response.status === absent) return undefined;
    const what = `${request.method} of module ${moduleId} on ${this.#place}`;
    if (response.status === 412) throw changed(what);
    if (response.status !== 200 && response.status !== 201) throw failureOf(what, response);
    const module = moduleOf(response.body, what, response.etag);
    if (module.moduleId === moduleId) return module;
    throw new ServiceError('Unavailable', `${what}: the response is for another module`);
  }

  /** Sends a request, and retries after the Retry-After when the hub throttles. */
  async #send(request: CloudRequest, via: Via): Promise<CloudResponse> {
    for (let retries = 0; ; retries++) {
      const response = await this.#cloud.send(request, via);
      const waitS = retryDelayOf(response);
      if (waitS === undefined || retries === maxRetries) return response;
      await this.#wait(waitS * 1000, via.signal);
    }
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#delay(ms, signal);
    } catch (error) {
      const reason: unknown = signal.reason;
      if (isServiceError(reason)) throw reason;
      throw new ServiceError('Cancelled', 'waiting for the hub was cancelled', { cause: error });
    }
  }

  /** The hub in messages. */
  get #place(): string {
    const { hubHostname, gatewayHostname } = this.#device;
    return gatewayHostname === undefined
      ? hubHostname
      : `${hubHostname} through ${gatewayHostname}`;
  }

  #url(moduleId?: ModuleId): string {
    const { hubHostname, gatewayHostname, deviceId } = this.#device;
    const modules = `https://${gatewayHostname ?? hubHostname}/devices/${encodeURIComponent(deviceId)}/modules`;
    const module = moduleId === undefined ? '' : `/${encodeURIComponent(moduleId)}`;
    return `${modules}${module}?${apiVersion}`;
  }
}

/** Seconds before a retry; undefined when there should be none, or only after a longer wait. */
function retryDelayOf({ status, retryAfterS }: CloudResponse): number | undefined {
  if (status !== 429 && status !== 503) return undefined;
  if (retryAfterS === undefined || retryAfterS > maxRetryAfterS) return undefined;
  return Math.max(retryAfterS, minRetryAfterS);
}

function moduleOf(body: unknown, what: string, header?: string): HubModule {
  const moduleId = nameField(body, 'moduleId');
  const generationId = nameField(body, 'generationId');
  if (moduleId === undefined || generationId === undefined) {
    throw new ServiceError('Unavailable', `${what}: the response has no module id or generation`);
  }
  const tag = (nameField(body, 'etag') ?? header)?.replace(/^(?:W\/)?"|"$/g, '');
  return {
    moduleId,
    generationId,
    managedBy: wordsField(body, 'managedBy') ?? '',
    etag: tag !== undefined && /^[!#-~]{1,256}$/.test(tag) ? tag : '*',
    authentication: nameField(fieldOf(body, 'authentication'), 'type') ?? '',
  };
}

/** An entity tag is quoted, the wildcard is not (RFC 9110, 13.1.1). */
function ifMatch(etag: string): Readonly<Record<string, string>> {
  return { 'if-match': etag === '*' ? etag : `"${etag}"` };
}

function changed(what: string): ServiceError {
  const message = `${what}: another client has changed the module meanwhile: try again`;
  return new ServiceError('Unavailable', message);
}
