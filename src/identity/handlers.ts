import type { Handlers, Resolvers } from '../dbus/definition.ts';
import type { CallContext } from '../dbus/server/call.ts';
import { ServiceError } from '../errors.ts';
import { type ModuleId, type nameParsers, parseModuleId } from '../ids.ts';
import type { identityInterface } from '../interfaces/identity.ts';
import { quoted } from '../quoted.ts';
import type { Cancellations } from '../service/operations/cancellations.ts';
import { longHandler } from '../service/operations/long-handler.ts';
import type { IdentityConfig } from './config/config.ts';
import type { DesiredModule } from './hub/registration.ts';
import { parseDesiredModule } from './identity-operations.ts';
import { deviceRecord, foreignRecord, type IdentityRecord, moduleRecord } from './properties.ts';
import { issuedCertificate } from './provisioners/issued-certificate.ts';
import type { Provisioning } from './provisioning.ts';
import type { IdentityService } from './service.ts';
import type { SavedDevice, SavedModule } from './state.ts';

/** The parts of the handlers besides the service. */
export interface IdentityHandlersOptions {
  /** The configuration in force when a call begins, which it uses to its end, as it does the provisioning. */
  readonly config: IdentityConfig;
  readonly provisioning: Provisioning;
  readonly cancellations: Cancellations;
  /** Aborted when the service stops; an operation continues when its caller leaves. */
  readonly stopping: AbortSignal;
}

/** The methods of `org.iotedge.Identity1`. */
export function identityHandlers(
  service: IdentityService,
  options: IdentityHandlersOptions,
): Omit<Handlers<typeof identityInterface, CallContext, typeof nameParsers>, 'Describe'> {
  const { kinds, modules, operations } = service;
  const { cancellations, config, provisioning, stopping } = options;
  const gateway = config.dps?.gatewayHostname;
  const record = (saved: SavedDevice): IdentityRecord =>
    deviceRecord(saved, { ...credentialOf(config, saved), gateway });
  const recordOf = (module: SavedModule): IdentityRecord => moduleRecord(module, gateway);
  const provisionRequest = (again: boolean) => ({
    request: ({ options: { wait = true } }: WaitInput) => {
      provisioning.assertAllowed({ again });
      const saved = again ? undefined : provisioning.current;
      return { id: '', args: {}, wait, ...(saved && { result: saved }) };
    },
    reply: (saved: SavedDevice | undefined) => ({
      device: record(saved ?? provisioning.savedOrNone ?? unassigned),
    }),
  });
  return {
    Provision: longHandler(operations, kinds.provision, provisionRequest(false)),
    Reprovision: longHandler(operations, kinds.reprovision, provisionRequest(true)),
    GetDeviceIdentity: () => ({ identity: record(provisioning.saved) }),
    GetCallerIdentity: (_args, { caller }) => {
      const principal = config.principals.get(caller.uid);
      if (principal === undefined) {
        throw new ServiceError('NotFound', `identity.yaml names no identity for uid ${caller.uid}`);
      }
      if (principal === '') return { identity: record(provisioning.saved) };
      return { identity: recordOf(modules.get(parseModuleId(principal))) };
    },
    GetModuleIdentity: ({ module_id: id }) => ({ identity: recordOf(modules.get(id)) }),
    ListModuleIdentities: async ({ options: { refresh = false } }, { requestId, signal }) => {
      modules.assertListed();
      if (!refresh) return { identities: modules.list().map(recordOf) };
      const listed = await modules.listOnHub({ requestId, signal });
      const identityOf = ({ found, saved }: (typeof listed)[number]): IdentityRecord =>
        saved === undefined
          ? foreignRecord(found, { device: provisioning.saved, gateway })
          : recordOf(saved);
      return { identities: listed.map(identityOf) };
    },
    CreateModuleIdentity: longHandler(operations, kinds.create, {
      request: ({ module_id: id, options }: ManageInput) => {
        checkOptions(options);
        provisioning.assertProvisioned();
        const args = desiredModuleOf(options);
        const existing = modules.existing(id, args);
        return { id, args, wait: options.wait ?? true, ...(existing && { result: existing }) };
      },
      reply: (module, id) => ({ identity: recordOf(module ?? pending(id)) }),
    }),
    UpdateModuleIdentity: async ({ module_id: id, options }, { requestId }) => {
      checkOptions(options);
      // the operation continues when its caller leaves
      const via = { requestId, signal: stopping };
      const module = await modules.update(id, desiredModuleOf(options), via);
      return { identity: recordOf(module) };
    },
    DeleteModuleIdentity: longHandler(operations, kinds.remove, {
      request: ({ module_id: id, options }: DeleteInput) => {
        provisioning.assertProvisioned();
        const args = { adopt: options.adopt ?? false };
        modules.assertDeletable(id, args);
        return { id, args, wait: options.wait ?? true };
      },
      reply: () => ({}),
    }),
    CreateSasToken: async ({ module_id: id, audience, lifetime_s: lifetimeS }, via) => {
      if (id === '') {
        const { deviceId } = provisioning.saved;
        throw new ServiceError('NotSupported', `device ${deviceId} proves itself by certificate`);
      }
      const token = await service.createSasToken(parseModuleId(id), { audience, lifetimeS }, via);
      return { token };
    },
    Cancel: ({ id }, call) => {
      cancellations.cancel(operations, id, call);
      return {};
    },
  };
}

/** The authorization details of the operation that Cancel would cancel. */
export function identityResolvers(
  { operations }: Pick<IdentityService, 'operations'>,
  { cancellations }: Pick<IdentityHandlersOptions, 'cancellations'>,
): Resolvers<typeof identityInterface, CallContext, typeof nameParsers> {
  return {
    Cancel: ({ id }, call) => {
      const operation = operations.current(id);
      const { adopt } = parseDesiredModule(operation?.args);
      return { operation: cancellations.resolve(call, operation), adopt: String(adopt) };
    },
  };
}

interface WaitInput {
  readonly options: { readonly wait?: boolean | undefined };
}

interface ManageInput {
  readonly module_id: ModuleId;
  readonly options: ManageOptions & WaitInput['options'];
}

interface DeleteInput {
  readonly module_id: ModuleId;
  readonly options: WaitInput['options'] & { readonly adopt?: boolean | undefined };
}

/** The reply to a caller that does not wait for the first result. */
const unassigned: SavedDevice = {
  hubHostname: '',
  deviceId: '',
  source: '',
  answerTo: '',
  registrationId: '',
  provisionedAt: '',
};

function pending(moduleId: ModuleId): SavedModule {
  const unknown = { managedBy: '', generationId: '', deviceId: '', hubHostname: '' };
  return { moduleId, ...unknown, phase: 'creating' };
}

function credentialOf(
  { dps }: IdentityConfig,
  { renewAt }: SavedDevice,
): { keyId: string; certificateId: string } {
  if (dps?.issuance !== undefined && renewAt !== undefined) return issuedCertificate;
  return { keyId: dps?.keyId ?? '', certificateId: dps?.certificateId ?? '' };
}

function desiredModuleOf({
  managed_by: managedBy,
  adopt = false,
}: {
  readonly managed_by?: string | undefined;
  readonly adopt?: boolean | undefined;
}): DesiredModule {
  return { managedBy, adopt };
}

interface ManageOptions {
  readonly kind?: string | undefined;
  readonly managed_by?: string | undefined;
  readonly usage?: string | undefined;
  readonly adopt?: boolean | undefined;
}

function checkOptions({ kind = 'module', managed_by: managedBy, usage }: ManageOptions): void {
  if (kind !== 'module') {
    const name = quoted(kind);
    throw new ServiceError('NotSupported', `identities of kind ${name} are not supported`);
  }
  if (usage !== undefined) {
    throw new ServiceError('NotSupported', 'a usage is for identities of kind "local"');
  }
  if (managedBy !== undefined && !/^[ -~]{1,128}$/.test(managedBy)) {
    throw new ServiceError('InvalidArgs', 'managed_by is not 1 to 128 printable characters');
  }
}
