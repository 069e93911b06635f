import { randomBytes } from 'node:crypto';
import { type CloudRequest, HubRefusal } from './exchange.ts';
import type { RegisteredDevice, RegisteredModule } from './records.ts';
import { claimedBy, makeSas, refusalOfSas } from './sas.ts';

/** The caller of the hub: a service, with a policy's key, or a device itself, or one of its modules. */
export type HubCaller = 'service' | 'device' | 'module';

/** The credentials that callers are authenticated against. */
export interface KnownCredentials {
  readonly host: string;
  readonly policy: ServicePolicy;
  readonly device: (id: string) => RegisteredDevice | undefined;
  readonly module: (deviceId: string, moduleId: string) => RegisteredModule | undefined;
}

/** A shared access policy of the hub, for services that manage devices. */
export class ServicePolicy {
  readonly name = 'iothubowner';
  readonly key = randomBytes(32);

  /** A token for the whole hub. */
  token(host: string, expires = new Date(Date.now() + 3_600_000)): string {
    return makeSas(host, { key: this.key, keyName: this.name, expires });
  }

  /** The connection string that administrators paste into tools. */
  connectionString(host: string): string {
    const key = this.key.toString('base64');
    return `HostName=${host};SharedAccessKeyName=${this.name};SharedAccessKey=${key}`;
  }
}

/** The caller of a request about a device; refused when it is not a service, that device, or a module of it. */
export function callerOf(
  request: CloudRequest,
  deviceId: string,
  known: KnownCredentials,
): HubCaller {
  const { authorization } = request.headers;
  if (authorization === undefined) return byCertificate(request, deviceId, known);
  const claims = claimedBy(authorization);
  if (claims?.keyName !== undefined) return byPolicy(request, authorization, known);
  return byOwnKey(request, { authorization, deviceId }, known);
}

function unauthorized(why: string): HubRefusal {
  return new HubRefusal(401, 'IotHubUnauthorizedAccess', why, 401002);
}

function enabled(deviceId: string, known: KnownCredentials): RegisteredDevice {
  const device = known.device(deviceId);
  if (device === undefined) throw unauthorized('Unauthorized');
  if (device.status === 'disabled') throw unauthorized('Device is disabled');
  return device;
}

function byCertificate(
  { certificate }: CloudRequest,
  deviceId: string,
  known: KnownCredentials,
): HubCaller {
  if (certificate?.trusted !== true) throw unauthorized('Unauthorized');
  const { attestation } = enabled(deviceId, known);
  const name = 'certificateName' in attestation ? attestation.certificateName : undefined;
  if (name?.toLowerCase() !== certificate.commonName.toLowerCase())
    throw unauthorized('Unauthorized');
  return 'device';
}

function byPolicy(
  { now }: CloudRequest,
  authorization: string,
  { host, policy }: KnownCredentials,
): HubCaller {
  const expected = { resource: host, key: policy.key, keyName: policy.name, now };
  const refusal = refusalOfSas(authorization, expected);
  if (refusal !== undefined) throw unauthorized(refusal);
  return 'service';
}

/** Whether the device or one of its modules signed follows from the token's resource. */
function byOwnKey(
  { now }: CloudRequest,
  { authorization, deviceId }: { readonly authorization: string; readonly deviceId: string },
  known: KnownCredentials,
): HubCaller {
  const { attestation } = enabled(deviceId, known);
  const own = `${known.host}/devices/${deviceId}`;
  const resource = claimedBy(authorization)?.resource ?? '';
  const [, moduleId] = /\/modules\/([^/]+)$/.exec(resource) ?? [];
  if (moduleId === undefined) {
    const keys = 'keys' in attestation ? attestation.keys : undefined;
    requireSigned(authorization, { resource: own, keys, now });
    return 'device';
  }
  const keys = known.module(deviceId, moduleId)?.keys;
  requireSigned(authorization, { resource: `${own}/modules/${moduleId}`, keys, now });
  return 'module';
}

function requireSigned(
  authorization: string,
  {
    resource,
    keys,
    now,
  }: {
    readonly resource: string;
    readonly keys: RegisteredModule['keys'] | undefined;
    readonly now: Date;
  },
): void {
  const either = [keys?.primaryKey, keys?.secondaryKey].filter((key) => key !== undefined);
  const refusals = either.map((key) =>
    refusalOfSas(authorization, { resource, key: Buffer.from(key, 'base64'), now }),
  );
  if (refusals.includes(undefined)) return;
  throw unauthorized(refusals[0] ?? 'Unauthorized');
}
