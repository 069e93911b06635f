import type { Output, Properties } from '../dbus/definition.ts';
import { healthOf } from '../dbus/server/health.ts';
import { microseconds } from '../dbus/time.ts';
import type { identityInterface } from '../interfaces/identity.ts';
import type { ClockSkew } from './cloud/clock-skew.ts';
import type { HubModule } from './hub/hub.ts';
import type { ModuleIdentities } from './hub/module-identities.ts';
import { derivationOf, moduleBaseKey } from './hub/module-keys.ts';
import type { Provisioner } from './provisioners/provisioner.ts';
import type { ProvisioningStatus } from './provisioning.ts';
import type { SavedDevice, SavedModule } from './state.ts';

type ManagerProperties = Properties<typeof identityInterface>;

/** An identity in replies. */
export type IdentityRecord = Output<
  (typeof identityInterface)['methods']['GetModuleIdentity']
>['identity'];

/** `host[:port]` of the gateway that the device is below; undefined when it reaches the hub directly. */
export type Gateway = string | undefined;

/** The sources of the manager's properties; texts are `` without a problem. */
export interface ManagerView {
  readonly status: ProvisioningStatus;
  readonly gateway: Gateway;
  readonly modules: Pick<ModuleIdentities, 'damaged' | 'refused' | 'unlisted'>;
  /** The verb of the operation on the device, `` when there is none. */
  readonly operation: string;
  readonly disk: string;
  readonly pendingOperations: readonly string[];
  readonly skew: Pick<ClockSkew, 'problem' | 'seconds'>;
}

/** The identity of the device, with the key, the certificate and the gateway of the configuration. */
export function deviceRecord(
  device: SavedDevice,
  {
    keyId,
    certificateId,
    gateway,
  }: { readonly keyId: string; readonly certificateId: string; readonly gateway: Gateway },
): IdentityRecord {
  return {
    kind: 'device',
    hub_hostname: device.hubHostname,
    gateway_hostname: gatewayOf(device, gateway),
    device_id: device.deviceId,
    module_id: '',
    generation_id: '',
    auth: 'x509',
    key_id: keyId,
    derivation: Buffer.alloc(0),
    certificate_id: certificateId,
  };
}

/** The identity of a module, whose derived key signs in the Keys service. */
export function moduleRecord(module: SavedModule, gateway: Gateway): IdentityRecord {
  return {
    kind: 'module',
    hub_hostname: module.hubHostname,
    gateway_hostname: gatewayOf(module, gateway),
    device_id: module.deviceId,
    module_id: module.moduleId,
    generation_id: module.generationId,
    auth: 'sas',
    key_id: moduleBaseKey,
    derivation: derivationOf(module, 'primary'),
    certificate_id: '',
  };
}

/** A module of other software on the hub, whose keys are unknown here. */
export function foreignRecord(
  module: HubModule,
  { device, gateway }: { readonly device: SavedDevice; readonly gateway: Gateway },
): IdentityRecord {
  const isX509 = /^(selfSigned|certificateAuthority)$/i.test(module.authentication);
  return {
    kind: 'module',
    hub_hostname: device.hubHostname,
    gateway_hostname: gatewayOf(device, gateway),
    device_id: device.deviceId,
    module_id: module.moduleId,
    generation_id: module.generationId,
    auth: isX509 ? 'x509' : module.authentication === 'sas' ? 'sas' : '',
    key_id: '',
    derivation: Buffer.alloc(0),
    certificate_id: '',
  };
}

/** The values of org.iotedge.Identity1 that depend on the configuration. */
export function sourceProperties(
  provisioner: Pick<Provisioner, 'source' | 'attestation'> | undefined,
): Pick<ManagerProperties, 'Source' | 'Attestation'> {
  return { Source: provisioner?.source ?? '', Attestation: provisioner?.attestation ?? '' };
}

/** The values of org.iotedge.Identity1 that change. */
export function managerProperties(
  view: ManagerView,
): Omit<ManagerProperties, 'Version' | 'Source' | 'Attestation'> {
  const { device, nextAttempt, state } = view.status;
  return {
    State: state,
    Operation: view.operation,
    ...healthOf(problemsOf(view)),
    HubHostname: device?.hubHostname ?? '',
    DeviceId: device?.deviceId ?? '',
    GatewayHostname: device === undefined ? '' : gatewayOf(device, view.gateway),
    LastProvisioned: microseconds(device && new Date(device.provisionedAt)),
    NextAttempt: microseconds(nextAttempt),
    ClockSkew: BigInt(view.skew.seconds) * 1_000_000n,
  };
}

/** The values of org.iotedge.Identity1.Identity, for a module. */
export function moduleProperties(module: SavedModule, gateway: Gateway) {
  const record = moduleRecord(module, gateway);
  return {
    Kind: record.kind,
    HubHostname: record.hub_hostname,
    GatewayHostname: record.gateway_hostname,
    DeviceId: record.device_id,
    ModuleId: record.module_id,
    GenerationId: record.generation_id,
    Auth: record.auth,
    KeyId: record.key_id,
    Derivation: record.derivation,
    CertificateId: record.certificate_id,
  };
}

/** What to connect to in place of the hub, `` while that is unknown. */
function gatewayOf({ hubHostname }: { readonly hubHostname: string }, gateway: Gateway): string {
  return hubHostname === '' ? '' : (gateway ?? hubHostname);
}

function problemsOf({
  status,
  modules,
  disk,
  pendingOperations,
  skew,
}: ManagerView): readonly string[] {
  const { damaged, refused, unlisted = '' } = modules;
  const ofModules = [...damaged, ...refused].map(([id, why]) => `module "${id}": ${why}`);
  return [status.lastError, disk, unlisted, ...pendingOperations, ...ofModules, skew.problem];
}
