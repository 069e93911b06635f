import type { Bus, BusSignal } from '../dbus/bus.ts';
import { type Via, within } from '../dbus/client/via.ts';
import { childPath } from '../dbus/path.ts';
import { Variant } from '../dbus/wire/variant.ts';
import { isServiceError, ServiceError } from '../errors.ts';
import type { ModuleId } from '../ids.ts';
import { identityService } from '../interfaces/identity.ts';
import type { Clients } from './clients.ts';

/** The identity of a module as the Identity service reports it. */
export type ModuleIdentity = Awaited<
  ReturnType<Clients['identity']['GetModuleIdentity']>
>['identity'];

const oldestMs = 600_000;
const provisionMs = 300_000;

/** Part of the Identity service that modules need. */
export type IdentityClient = Pick<
  Clients['identity'],
  'Provision' | 'GetModuleIdentity' | 'CreateModuleIdentity' | 'DeleteModuleIdentity'
>;

/** Caches the identities of modules until the Identity service reports a change. */
export class Identities {
  readonly #client: IdentityClient;
  readonly #now: () => Date;
  readonly #known = new Map<
    string,
    { readonly identity: ModuleIdentity; readonly until: number }
  >();
  /** Of modules that are about to be removed. */
  readonly #released = new Set<ModuleId>();
  /** Counts the calls of `clear`: a result requested before one is not cached. */
  #clears = 0;

  constructor(client: IdentityClient, now: () => Date) {
    this.#client = client;
    this.#now = now;
  }

  /** Evicts every identity: it may have changed. */
  clear(): void {
    this.#clears++;
    this.#known.clear();
  }

  /** Registers a module no more by itself: an agent deletes the identity of a module before the module. */
  release(moduleId: ModuleId): void {
    this.#released.add(moduleId);
  }

  /** Registers a module again when it is needed. */
  reclaim(moduleId: ModuleId): void {
    this.#released.delete(moduleId);
  }

  /** The identity of a module that has one; NotFound otherwise. */
  async get(moduleId: ModuleId, via: Via): Promise<ModuleIdentity> {
    const known = this.#known.get(moduleId);
    if (known !== undefined && known.until > this.#now().getTime()) return known.identity;
    const clears = this.#clears;
    const { identity } = await this.#client.GetModuleIdentity({ module_id: moduleId }, via);
    return this.#keep(moduleId, identity, clears);
  }

  /** The identity of a module, registered if it has none; provisions the device if it is not provisioned. */
  async ensure(moduleId: ModuleId, via: Via): Promise<ModuleIdentity> {
    try {
      return await this.get(moduleId, via);
    } catch (error) {
      if (!isServiceError(error, 'NotFound') && !isServiceError(error, 'NotProvisioned'))
        throw error;
      if (this.#released.has(moduleId)) {
        const text = `the identity of module "${moduleId}" was deleted: start the module to register it again`;
        throw new ServiceError('NotFound', text, { cause: error });
      }
    }
    try {
      return await this.#register(moduleId, via);
    } catch (error) {
      if (!isServiceError(error, 'NotProvisioned')) throw error;
    }
    await this.#provision(via);
    return this.#register(moduleId, via);
  }

  /** Deletes the identity of a module at the hub; succeeds if it has none. */
  async erase(moduleId: ModuleId, via: Via): Promise<void> {
    try {
      const options = { adopt: true };
      await this.#client.DeleteModuleIdentity({ module_id: moduleId, options }, via);
    } catch (error) {
      if (!isServiceError(error, 'NotFound')) throw error;
    }
    this.#known.delete(moduleId);
  }

  async #register(moduleId: ModuleId, via: Via): Promise<ModuleIdentity> {
    // whatever made it: the agent was asked to run it. Of an Edge device the hub makes `$edgeAgent` and `$edgeHub`
    const options = { adopt: true, ...(moduleId.startsWith('$') && { managed_by: 'iotEdge' }) };
    const request = { module_id: moduleId, options };
    const clears = this.#clears;
    const { identity } = await this.#client.CreateModuleIdentity(request, via);
    return this.#keep(moduleId, identity, clears);
  }

  async #provision(via: Via): Promise<void> {
    await this.#client.Provision({}, within(provisionMs, via));
  }

  #keep(moduleId: ModuleId, identity: ModuleIdentity, clears: number): ModuleIdentity {
    if (identity.generation_id === '') {
      throw new ServiceError('Unavailable', `module "${moduleId}" has no generation id`);
    }
    if (clears === this.#clears) {
      this.#known.set(moduleId, { identity, until: this.#now().getTime() + oldestMs });
    }
    return identity;
  }
}

/** Which modules a change of identities is about. */
export type IdentityChange = (moduleId: ModuleId) => boolean;

/** Calls back when an identity was created, deleted or changed, or the device was provisioned. */
export function onIdentityChange(
  bus: Bus,
  listener: (concerns: IdentityChange) => void,
): Promise<AsyncDisposable> {
  const { busName: sender, path: pathNamespace, child } = identityService;
  return bus.subscribe({ sender, pathNamespace }, (signal) => {
    if (!isIdentityChange(signal)) return;
    const object = objectOf(signal);
    listener((id) => {
      return object === pathNamespace || object === childPath(pathNamespace, child.segment, id);
    });
  });
}

/** The object that a signal is about. */
function objectOf({ path, member, body }: BusSignal): string {
  const isOfManager = member === 'InterfacesAdded' || member === 'InterfacesRemoved';
  return isOfManager ? String(body[0]) : path;
}

/** Failed attempts to provision are announced too, but they must not cause further ones. */
function isIdentityChange({ path, member, body }: BusSignal): boolean {
  if (path !== identityService.path) return member === 'PropertiesChanged';
  if (member === 'InterfacesAdded' || member === 'InterfacesRemoved') return true;
  const changed: unknown = body[1];
  if (member !== 'PropertiesChanged' || typeof changed !== 'object' || changed === null) {
    return false;
  }
  const state: unknown = new Map<string, unknown>(Object.entries(changed)).get('State');
  return state instanceof Variant && state.value === 'provisioned';
}
