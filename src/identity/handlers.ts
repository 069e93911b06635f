import type { Handlers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/serve.ts';
import type { Via } from '../dbus/via.ts';
import { ServiceError } from '../errors.ts';
import { type ModuleId, parseModuleId } from '../ids.ts';
import type { identityInterface } from '../interfaces/identity.ts';
import { quoted } from '../quoted.ts';
import type { IdentityConfig } from './config.ts';
import type { Device } from './device.ts';
import type { ModuleKeyring } from './keys.ts';
import type { ModuleIdentities } from './modules.ts';
import { deviceRecord, foreignRecord, type IdentityRecord, moduleRecord } from './record.ts';
import type { Wanted } from './registration.ts';
import { resolveAudience, signedToken, unsignedToken } from './sas-token.ts';
import type { SavedDevice } from './state.ts';

/** What the methods of the Identity service work on. */
export interface IdentityParts {
  readonly config: IdentityConfig;
  readonly device: Device;
  readonly modules: ModuleIdentities;
  readonly keyring: ModuleKeyring;
  readonly now: () => Date;
  /** Aborted when the service stops: what was begun goes on when its caller leaves. */
  readonly stopping: AbortSignal;
}

/** The methods of `org.iotedge.Identity1`. */
export function identityHandlers(
  parts: IdentityParts,
): Omit<Handlers<typeof identityInterface, CallContext>, 'Describe'> {
  const { config, device, modules, stopping } = parts;
  const record = (saved: SavedDevice): IdentityRecord => deviceRecord(saved, credentialOf(config));
  const provision = async (
    request: { readonly again: boolean; readonly requestId: string },
    wait = true,
  ): Promise<{ device: IdentityRecord }> => {
    const outcome = device.provision(request);
    if (!wait) {
      outcome.catch(() => undefined); // told by State and LastError
      return { device: record(device.status.device ?? unassigned) };
    }
    return { device: record(await outcome) };
  };
  // what was begun goes on when its caller leaves
  const lasting = ({ requestId }: Via): Via => ({ requestId, signal: stopping });
  return {
    Provision: ({ options: { wait } }, { requestId }) =>
      provision({ again: false, requestId }, wait),
    Reprovision: ({ options: { wait } }, { requestId }) =>
      provision({ again: true, requestId }, wait),
    GetDeviceIdentity: () => ({ identity: record(device.saved) }),
    GetCallerIdentity: (_args, { caller }) => {
      const principal = config.principals.get(caller.uid);
      if (principal === undefined) {
        throw new ServiceError('NotFound', `identity.yaml names no identity for uid ${caller.uid}`);
      }
      if (principal === '') return { identity: record(device.saved) };
      return { identity: moduleRecord(modules.get(parseModuleId(principal))) };
    },
    GetModuleIdentity: ({ module_id: id }) => ({
      identity: moduleRecord(modules.get(parseModuleId(id))),
    }),
    ListModuleIdentities: async ({ options: { refresh = false } }, { requestId, signal }) => {
      if (!refresh) return { identities: modules.list().map(moduleRecord) };
      const listed = await modules.listOnHub({ requestId, signal });
      const recordOf = ({ found, saved }: (typeof listed)[number]): IdentityRecord =>
        saved === undefined ? foreignRecord(found, device.saved) : moduleRecord(saved);
      return { identities: listed.map(recordOf) };
    },
    CreateModuleIdentity: async ({ module_id: id, options }, call) => {
      checkOptions(options);
      const module = await modules.create(parseModuleId(id), wantedOf(options), lasting(call));
      return { identity: moduleRecord(module) };
    },
    UpdateModuleIdentity: async ({ module_id: id, options }, call) => {
      checkOptions(options);
      const module = await modules.update(parseModuleId(id), wantedOf(options), lasting(call));
      return { identity: moduleRecord(module) };
    },
    DeleteModuleIdentity: async ({ module_id: id, options }, call) => {
      await modules.delete(parseModuleId(id), wantedOf(options), lasting(call));
      return {};
    },
    CreateSasToken: ({ module_id: id, audience, lifetime_s: lifetimeS }, via) =>
      createSasToken(parts, { id, audience, lifetimeS, via }),
    Cancel: ({ id }) => {
      if (id !== '') throw new ServiceError('NotFound', `no operation ${quoted(id)}`);
      device.cancel();
      return {};
    },
  };
}

/** What is answered to who does not wait for the first result. */
const unassigned: SavedDevice = {
  hubHostname: '',
  deviceId: '',
  source: '',
  answerTo: '',
  provisionedAt: '',
};

function credentialOf({ dps }: IdentityConfig): { keyId: string; certificateId: string } {
  return { keyId: dps?.keyId ?? '', certificateId: dps?.certificateId ?? '' };
}

function wantedOf({
  managed_by: managedBy,
  adopt = false,
}: {
  readonly managed_by?: string | undefined;
  readonly adopt?: boolean | undefined;
}): Wanted {
  return { managedBy, adopt };
}

interface ManageOptions {
  readonly kind?: string | undefined;
  readonly managed_by?: string | undefined;
  readonly usage?: string | undefined;
}

function checkOptions({ kind = 'module', managed_by: managedBy, usage }: ManageOptions): void {
  if (kind !== 'module') {
    const name = quoted(kind);
    throw new ServiceError('NotSupported', `identities of kind ${name} are not made here`);
  }
  if (usage !== undefined) {
    throw new ServiceError('NotSupported', 'a usage is for identities of kind "local"');
  }
  if (managedBy !== undefined && !/^[ -~]{1,128}$/.test(managedBy)) {
    throw new ServiceError('InvalidArgs', 'managed_by is not 1 to 128 printable characters');
  }
}

interface TokenRequest {
  readonly id: string;
  readonly audience: string;
  readonly lifetimeS: number;
  readonly via: Via;
}

async function createSasToken(
  { device, modules, keyring, now }: IdentityParts,
  { id, audience, lifetimeS, via }: TokenRequest,
): Promise<{ readonly token: string }> {
  if (id === '') {
    const { deviceId } = device.saved;
    throw new ServiceError('NotSupported', `device ${deviceId} proves itself by certificate`);
  }
  const moduleId: ModuleId = parseModuleId(id);
  const module = modules.get(moduleId);
  const own = `${module.hubHostname}/devices/${module.deviceId}/modules/${moduleId}`;
  const unsigned = unsignedToken(resolveAudience(own, audience), lifetimeS, now());
  const signature = await keyring.sign(module, Buffer.from(unsigned.text), via);
  return { token: signedToken(unsigned, signature) };
}
