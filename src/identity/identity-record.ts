import type { Output } from '../dbus/definition.ts';
import type { identityInterface } from '../interfaces/identity.ts';
import type { HubModule } from './hub/hub.ts';
import type { SavedDevice, SavedModule } from './state.ts';

/** An identity as it goes over the bus. */
export type IdentityRecord = Output<
  (typeof identityInterface)['methods']['GetModuleIdentity']
>['identity'];

/** The base key that all module keys are derived from. */
export const moduleBaseKey = 'iotedge/module-identities';

/** What the primary or secondary key of a module is derived from. */
export function derivationOf(
  { moduleId, generationId }: Pick<SavedModule, 'moduleId' | 'generationId'>,
  which: 'primary' | 'secondary',
): Buffer {
  return Buffer.from(`${moduleId}:${generationId}:${which}`);
}

/** The device's identity; its key and certificate are named by the configuration. */
export function deviceRecord(
  device: SavedDevice,
  { keyId, certificateId }: { readonly keyId: string; readonly certificateId: string },
): IdentityRecord {
  return {
    kind: 'device',
    hub_hostname: device.hubHostname,
    gateway_hostname: device.hubHostname,
    device_id: device.deviceId,
    module_id: '',
    generation_id: '',
    auth: 'x509',
    key_id: keyId,
    derivation: Buffer.alloc(0),
    certificate_id: certificateId,
  };
}

/** A module's identity; its key is derived, and signs in the Keys service. */
export function moduleRecord(module: SavedModule): IdentityRecord {
  return {
    kind: 'module',
    hub_hostname: module.hubHostname,
    gateway_hostname: module.hubHostname,
    device_id: module.deviceId,
    module_id: module.moduleId,
    generation_id: module.generationId,
    auth: 'sas',
    key_id: moduleBaseKey,
    derivation: derivationOf(module, 'primary'),
    certificate_id: '',
  };
}

/** A module of other software on the hub, which has its keys. */
export function foreignRecord(module: HubModule, device: SavedDevice): IdentityRecord {
  const isX509 = /^(selfSigned|certificateAuthority)$/i.test(module.authentication);
  return {
    kind: 'module',
    hub_hostname: device.hubHostname,
    gateway_hostname: device.hubHostname,
    device_id: device.deviceId,
    module_id: module.moduleId,
    generation_id: module.generationId,
    auth: isX509 ? 'x509' : module.authentication === 'sas' ? 'sas' : '',
    key_id: '',
    derivation: Buffer.alloc(0),
    certificate_id: '',
  };
}

/** The same as properties of the module's object. */
export function moduleProperties(module: SavedModule) {
  const record = moduleRecord(module);
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
