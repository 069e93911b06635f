import {
  CloudRefusal,
  type CloudRequest,
  type CloudResponse,
  requireApiVersion,
  requireJson,
} from './exchange.ts';

interface SymmetricKeys {
  readonly primaryKey: string;
  readonly secondaryKey: string;
}

/** A module as the hub holds it. */
export interface RegisteredModule {
  readonly moduleId: string;
  readonly managedBy: string;
  readonly generationId: string;
  readonly keys: SymmetricKeys | undefined;
}

/** The identity registry half: the modules of devices that authenticate with their certificate. */
export class Registry {
  /** By device, then by module. */
  readonly modules = new Map<string, Map<string, RegisteredModule>>();
  /** The device id of a client certificate's name; undefined for one that is not registered. */
  readonly #deviceOf: (clientName: string) => string | undefined;
  #generation = 637000000000000000n;

  constructor(deviceOf: (clientName: string) => string | undefined) {
    this.#deviceOf = deviceOf;
  }

  /** Whether a path is this half's. */
  static serves(path: readonly string[]): boolean {
    return path[0] === 'devices' && path[2] === 'modules';
  }

  answer(request: CloudRequest): CloudResponse {
    requireApiVersion(request, '2017-11-08-preview');
    const [, deviceId = '', , moduleId] = request.path;
    this.#authenticate(request, deviceId);
    const modules = this.modules.get(deviceId) ?? new Map<string, RegisteredModule>();
    this.modules.set(deviceId, modules);
    if (moduleId === undefined) {
      if (request.method !== 'GET') throw new CloudRefusal(405, 'use GET');
      const body = [...modules.values()].map((module) => view(deviceId, module));
      return { status: 200, body };
    }
    switch (request.method) {
      case 'GET':
        return { status: 200, body: view(deviceId, found(modules, moduleId)) };
      case 'PUT':
        return this.#put(request, modules, { deviceId, moduleId });
      case 'DELETE':
        requireMatch(request);
        found(modules, moduleId);
        modules.delete(moduleId);
        return { status: 204 };
      default:
        throw new CloudRefusal(405, 'use GET, PUT or DELETE');
    }
  }

  #authenticate({ clientName }: CloudRequest, deviceId: string): void {
    if (clientName === undefined) throw new CloudRefusal(401, 'a client certificate is needed');
    const own = this.#deviceOf(clientName);
    if (own === undefined) throw new CloudRefusal(401, 'the device is not registered');
    if (own !== deviceId) throw new CloudRefusal(401, 'the certificate is of another device');
  }

  #put(
    request: CloudRequest,
    modules: Map<string, RegisteredModule>,
    ids: { readonly deviceId: string; readonly moduleId: string },
  ): CloudResponse {
    const { deviceId, moduleId } = ids;
    const body = requireJson(request);
    if (body['moduleId'] !== moduleId || body['deviceId'] !== deviceId) {
      throw new CloudRefusal(400, 'the ids of the body are not those of the path');
    }
    const before = modules.get(moduleId);
    const update = request.headers['if-match'] !== undefined;
    if (update) requireMatch(request);
    if (update && before === undefined)
      throw new CloudRefusal(404, `no module ${moduleId}`, 404010);
    if (!update && before !== undefined) {
      throw new CloudRefusal(409, `module ${moduleId} is there already`, 409301);
    }
    const module: RegisteredModule = {
      moduleId,
      managedBy: typeof body['managedBy'] === 'string' ? body['managedBy'] : '',
      generationId: before?.generationId ?? String(this.#generation++),
      keys: keysOf(body['authentication']) ?? before?.keys,
    };
    modules.set(moduleId, module);
    return { status: update ? 200 : 201, body: view(deviceId, module) };
  }
}

function requireMatch({ headers }: CloudRequest): void {
  const tag = headers['if-match'];
  if (tag === undefined) throw new CloudRefusal(412, 'If-Match is missing', 412002);
  if (tag !== '*' && tag !== '"*"')
    throw new CloudRefusal(412, `etag ${tag} is not current`, 412002);
}

function found(modules: Map<string, RegisteredModule>, moduleId: string): RegisteredModule {
  const module = modules.get(moduleId);
  if (module === undefined) throw new CloudRefusal(404, `no module ${moduleId}`, 404010);
  return module;
}

function keysOf(authentication: unknown): SymmetricKeys | undefined {
  if (authentication === undefined) return undefined;
  const outer = entriesOf(authentication);
  const keys = entriesOf(outer.get('symmetricKey'));
  const [primaryKey, secondaryKey] = [keys.get('primaryKey'), keys.get('secondaryKey')];
  if (outer.get('type') !== 'sas' || !isKey(primaryKey) || !isKey(secondaryKey)) {
    throw new CloudRefusal(400, 'authentication must be of type sas with two base64 keys');
  }
  return { primaryKey, secondaryKey };
}

function entriesOf(value: unknown): Map<string, unknown> {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}

/** The hub takes keys of 16 to 64 bytes. */
function isKey(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const bytes = Buffer.from(value, 'base64');
  return bytes.toString('base64') === value && bytes.length >= 16 && bytes.length <= 64;
}

function view(deviceId: string, { moduleId, managedBy, generationId, keys }: RegisteredModule) {
  const symmetricKey = keys ?? { primaryKey: null, secondaryKey: null };
  return {
    moduleId,
    deviceId,
    managedBy,
    generationId,
    etag: '"AAAAAAAAAAE="',
    connectionState: 'Disconnected',
    authentication: { type: keys === undefined ? 'none' : 'sas', symmetricKey },
  };
}
