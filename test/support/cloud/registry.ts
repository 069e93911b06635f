import { callerOf, type HubCaller, type KnownCredentials, ServicePolicy } from './callers.ts';
import {
  type CloudRequest,
  type CloudResponse,
  entriesOf,
  HubRefusal,
  requireApiVersion,
  requireJson,
} from './exchange.ts';
import { isDeviceId, isModuleId } from './module-ids.ts';
import {
  newEdgeModules,
  newKeys,
  newModule,
  nextEtag,
  nextGeneration,
  type RegisteredDevice,
  type RegisteredModule,
  type SymmetricKeys,
  viewOfDevice,
  viewOfModule,
} from './records.ts';

/** The versions of devices and of the official service libraries. */
const versions = [
  '2017-11-08-preview',
  '2018-06-30',
  '2019-10-01',
  '2020-05-31-preview',
  '2021-04-12',
];
const moduleMembers = [
  'moduleId',
  'deviceId',
  'managedBy',
  'authentication',
  'etag',
  'generationId',
];
const deviceMembers = [
  'deviceId',
  'status',
  'statusReason',
  'authentication',
  'capabilities',
  'etag',
];

interface ModuleIds {
  readonly deviceId: string;
  readonly moduleId: string;
}

/** The identity registry: services manage devices and modules, a device its own modules. */
export class Registry {
  /** How many modules a device may have: those of the hub itself count, too. */
  maxModules = 50;
  readonly devices = new Map<string, RegisteredDevice>();
  /** By device id, then by module id. */
  readonly modules = new Map<string, Map<string, RegisteredModule>>();
  readonly policy = new ServicePolicy();
  readonly #known: KnownCredentials;

  constructor(host: () => string) {
    this.#known = {
      get host() {
        return host();
      },
      policy: this.policy,
      device: (id) => this.devices.get(id),
      module: (deviceId, moduleId) => this.modules.get(deviceId)?.get(moduleId),
    };
  }

  /** Whether a path belongs to this service. */
  static serves(path: readonly string[]): boolean {
    return path[0] === 'devices';
  }

  /** Registers an Edge device, with the modules that the hub creates; an existing device stays unchanged. */
  assign(deviceId: string, attestation: RegisteredDevice['attestation']): void {
    if (this.devices.has(deviceId)) return;
    const made = { generationId: nextGeneration(), etag: nextEtag() };
    this.devices.set(deviceId, { deviceId, ...made, status: 'enabled', attestation });
    this.modules.set(deviceId, newEdgeModules());
  }

  /** Creates or replaces a module on the hub, as other software would. */
  put(
    deviceId: string,
    module: Pick<RegisteredModule, 'moduleId'> & Partial<RegisteredModule>,
  ): void {
    const { moduleId, managedBy = '' } = module;
    this.#modulesOf(deviceId).set(moduleId, { ...newModule(moduleId, managedBy), ...module });
  }

  respond(request: CloudRequest): CloudResponse {
    requireApiVersion(request, versions, (m) => new HubRefusal(400, 'InvalidProtocolVersion', m));
    const [, deviceId = '', kind, moduleId] = request.path;
    const caller = callerOf(request, deviceId, this.#known);
    if (kind === undefined) return this.#respondForDevice(request, deviceId, caller);
    if (kind !== 'modules') throw new HubRefusal(404, 'NotFound', 'no such resource');
    if (!this.devices.has(deviceId)) throw deviceMissing(deviceId);
    if (moduleId === undefined) return this.#list(request, deviceId);
    if (caller === 'module' && request.method !== 'GET') {
      throw new HubRefusal(401, 'IotHubUnauthorizedAccess', 'a module may only read', 401002);
    }
    return this.#respondForModule(request, { deviceId, moduleId });
  }

  #respondForDevice(request: CloudRequest, deviceId: string, caller: HubCaller): CloudResponse {
    const device = this.devices.get(deviceId);
    if (request.method === 'PUT' && caller === 'service') return this.#putDevice(request, deviceId);
    if (device === undefined) throw deviceMissing(deviceId);
    if (request.method === 'GET') return shown(200, viewOfDevice(device));
    if (request.method !== 'DELETE' || caller !== 'service') {
      throw new HubRefusal(405, 'InvalidOperation', 'not for devices');
    }
    requireMatch(request, device.etag);
    this.devices.delete(deviceId);
    this.modules.delete(deviceId);
    return { status: 204 };
  }

  #putDevice(request: CloudRequest, deviceId: string): CloudResponse {
    const body = requireJson(request, deviceMembers);
    if (!isDeviceId(deviceId) || body['deviceId'] !== deviceId) throw invalid('deviceId');
    const before = this.devices.get(deviceId);
    const update = request.headers['if-match'] !== undefined;
    if (!update && before !== undefined) {
      throw new HubRefusal(409, 'DeviceAlreadyExists', `device ${deviceId} is there`, 409001);
    }
    if (update && before === undefined) throw deviceMissing(deviceId);
    if (before !== undefined) requireMatch(request, before.etag);
    const given = keysOf(body['authentication']);
    const keys = given === undefined ? undefined : { keys: given };
    this.assign(deviceId, keys ?? { keys: newKeys() });
    const device: RegisteredDevice = {
      ...this.#found(deviceId),
      ...(keys !== undefined && { attestation: keys }),
      status: body['status'] === 'disabled' ? 'disabled' : 'enabled',
      etag: nextEtag(),
    };
    this.devices.set(deviceId, device);
    return shown(200, viewOfDevice(device));
  }

  #found(deviceId: string): RegisteredDevice {
    const device = this.devices.get(deviceId);
    if (device === undefined) throw deviceMissing(deviceId);
    return device;
  }

  #modulesOf(deviceId: string): Map<string, RegisteredModule> {
    const modules = this.modules.get(deviceId) ?? new Map<string, RegisteredModule>();
    this.modules.set(deviceId, modules);
    return modules;
  }

  #list({ method }: CloudRequest, deviceId: string): CloudResponse {
    if (method !== 'GET') throw new HubRefusal(405, 'InvalidOperation', 'use GET');
    const body = [...this.#modulesOf(deviceId).values()].map((one) => viewOfModule(deviceId, one));
    return { status: 200, body };
  }

  #respondForModule(request: CloudRequest, ids: ModuleIds): CloudResponse {
    const { deviceId, moduleId } = ids;
    const modules = this.#modulesOf(deviceId);
    if (request.method === 'PUT') return this.#putModule(request, ids);
    const module = modules.get(moduleId);
    if (module === undefined) throw moduleMissing(ids);
    if (request.method === 'GET') return shown(200, viewOfModule(deviceId, module));
    if (request.method !== 'DELETE') throw new HubRefusal(405, 'InvalidOperation', 'not so');
    requireMatch(request, module.etag);
    modules.delete(moduleId);
    return { status: 204 };
  }

  #putModule(request: CloudRequest, ids: ModuleIds): CloudResponse {
    const { deviceId, moduleId } = ids;
    const modules = this.#modulesOf(deviceId);
    const body = requireJson(request, moduleMembers);
    if (body['moduleId'] !== moduleId || body['deviceId'] !== deviceId) throw invalid('moduleId');
    if (!isModuleId(moduleId)) throw invalid(`moduleId ${moduleId}`);
    const before = modules.get(moduleId);
    const update = request.headers['if-match'] !== undefined;
    if (update && before === undefined) throw moduleMissing(ids);
    if (!update && before !== undefined) {
      const name = 'ModuleAlreadyExistsOnDevice';
      throw new HubRefusal(409, name, `Module ${moduleId} already exists on ${deviceId}`, 409301);
    }
    if (before !== undefined) requireMatch(request, before.etag);
    if (before === undefined && modules.size >= this.maxModules) throw tooMany();
    const module: RegisteredModule = {
      moduleId,
      managedBy: typeof body['managedBy'] === 'string' ? body['managedBy'] : '',
      generationId: before?.generationId ?? nextGeneration(),
      etag: nextEtag(),
      keys: keysOf(body['authentication']) ?? before?.keys ?? newKeys(),
    };
    modules.set(moduleId, module);
    return shown(update ? 200 : 201, viewOfModule(deviceId, module));
  }
}

function shown(status: number, body: { readonly etag: string }): CloudResponse {
  return { status, headers: { etag: `"${body.etag}"` }, body };
}

function deviceMissing(deviceId: string): HubRefusal {
  return new HubRefusal(404, 'DeviceNotFound', `Device ${deviceId} not registered`, 404001);
}

function moduleMissing({ deviceId, moduleId }: ModuleIds): HubRefusal {
  const message = `Module ${moduleId} on device ${deviceId} not found`;
  return new HubRefusal(404, 'ModuleNotFound', message, 404010);
}

function invalid(what: string): HubRefusal {
  return new HubRefusal(400, 'ArgumentInvalid', `${what} is invalid`, 400004);
}

function tooMany(): HubRefusal {
  const message = 'Total number of modules on the device exceeded';
  return new HubRefusal(403, 'QuotaExceeded', message, 403006);
}

/** Entity tags are strong, and quoted (RFC 9110, 8.8.3). */
function requireMatch({ headers }: CloudRequest, etag: string): void {
  const tag = headers['if-match'];
  if (tag === '*' || tag === '"*"' || tag === `"${etag}"`) return;
  const message = tag === undefined ? 'If-Match is missing' : `etag ${tag} is not current`;
  throw new HubRefusal(412, 'PreconditionFailed', message, 412002);
}

function keysOf(authentication: unknown): SymmetricKeys | undefined {
  if (authentication === undefined || authentication === null) return undefined;
  const outer = entriesOf(authentication);
  const keys = entriesOf(outer.get('symmetricKey'));
  const [primaryKey, secondaryKey] = [keys.get('primaryKey'), keys.get('secondaryKey')];
  if (outer.get('type') !== 'sas' || !isKey(primaryKey) || !isKey(secondaryKey)) {
    throw invalid('authentication: not of type sas with two base64 keys');
  }
  return { primaryKey, secondaryKey };
}

/** The hub accepts keys of 16 to 64 bytes. */
function isKey(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const bytes = Buffer.from(value, 'base64');
  return bytes.toString('base64') === value && bytes.length >= 16 && bytes.length <= 64;
}
