import { randomBytes, randomInt } from 'node:crypto';
import { edgeModules } from './module-ids.ts';

/** The two keys of a device or module, in base64. */
export interface SymmetricKeys {
  readonly primaryKey: string;
  readonly secondaryKey: string;
}

/** A module in the registry of the hub. */
export interface RegisteredModule {
  readonly moduleId: string;
  readonly managedBy: string;
  readonly generationId: string;
  readonly etag: string;
  readonly keys: SymmetricKeys;
}

/** A device in the registry of the hub: with a certificate of this name, or with keys. */
export interface RegisteredDevice {
  readonly deviceId: string;
  readonly generationId: string;
  readonly etag: string;
  readonly status: 'enabled' | 'disabled';
  readonly attestation: { readonly certificateName: string } | { readonly keys: SymmetricKeys };
}

let generation = 637_000_000_000_000_000n;

/** A unique generation id. */
export function nextGeneration(): string {
  generation += BigInt(randomInt(1, 1000));
  return String(generation);
}

/** A unique entity tag. */
export function nextEtag(): string {
  return Buffer.from(String(randomInt(1, 2 ** 40))).toString('base64');
}

/** The keys that the hub generates when a request has none. */
export function newKeys(): SymmetricKeys {
  const key = (): string => randomBytes(32).toString('base64');
  return { primaryKey: key(), secondaryKey: key() };
}

/** A module that the hub creates, by default managed by Edge. */
export function newModule(moduleId: string, managedBy = 'iotEdge'): RegisteredModule {
  const keys = newKeys();
  return { moduleId, managedBy, generationId: nextGeneration(), etag: nextEtag(), keys };
}

/** The modules of a new Edge device. */
export function newEdgeModules(): Map<string, RegisteredModule> {
  return new Map(edgeModules.map((id) => [id, newModule(id)]));
}

/** The JSON representation of a device. */
export function viewOfDevice({
  deviceId,
  generationId,
  etag,
  status,
  attestation,
}: RegisteredDevice) {
  const keys = 'keys' in attestation ? attestation.keys : noKeys;
  return {
    deviceId,
    generationId,
    etag,
    connectionState: 'Disconnected',
    status,
    statusReason: null,
    connectionStateUpdatedTime: '0001-01-01T00:00:00Z',
    statusUpdatedTime: '0001-01-01T00:00:00Z',
    lastActivityTime: '0001-01-01T00:00:00Z',
    cloudToDeviceMessageCount: 0,
    authentication: {
      symmetricKey: keys,
      x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null },
      type: 'keys' in attestation ? 'sas' : 'certificateAuthority',
    },
    capabilities: { iotEdge: true },
    deviceScope: `ms-azure-iot-edge://${deviceId}-${generationId}`,
    parentScopes: [],
  };
}

const noKeys = { primaryKey: null, secondaryKey: null };

/** The JSON representation of a module. */
export function viewOfModule(deviceId: string, module: RegisteredModule) {
  const { moduleId, managedBy, generationId, etag, keys } = module;
  return {
    moduleId,
    managedBy: managedBy === '' ? null : managedBy,
    deviceId,
    generationId,
    etag,
    connectionState: 'Disconnected',
    connectionStateUpdatedTime: '0001-01-01T00:00:00Z',
    lastActivityTime: '0001-01-01T00:00:00Z',
    cloudToDeviceMessageCount: 0,
    authentication: {
      symmetricKey: keys,
      x509Thumbprint: { primaryThumbprint: null, secondaryThumbprint: null },
      type: 'sas',
    },
  };
}
