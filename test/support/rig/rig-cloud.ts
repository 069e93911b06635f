import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { Cloud, type CloudOptions } from '../cloud/cloud.ts';
import type { ThrowAwayAuthority } from '../polkit/throw-away-authority.ts';
import type { Rig } from './rig.ts';
import { deviceName, scopeId } from './rig-config.ts';

/** Starts a cloud double with the device of a rig, as `startTestCloud`. */
export function startRigCloud(rig: Rig, options: Partial<CloudOptions> = {}): Promise<Cloud> {
  return startTestCloud(rig.authority, options);
}

/**
 * Starts a cloud double with the device of the rigs; it has assigned it by the first poll, a second after the
 * registration; the caller disposes of it.
 */
export async function startTestCloud(
  authority: ThrowAwayAuthority,
  options: Partial<CloudOptions> = {},
): Promise<Cloud> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return Cloud.start({
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    certificate: await authority.certify('localhost', createPublicKey(privateKey), 'server'),
    clientRoots: await authority.certificate(),
    scopeId,
    enrollments: new Map([[deviceName, { deviceId: deviceName }]]),
    assigningPolls: 0,
    ...options,
  });
}

/** Settings with which the Identity service connects to a cloud. */
export function cloudSettings(rig: Rig, cloud: Cloud) {
  return {
    provisioning: { global_endpoint: cloud.endpoint },
    cloud: { trusted_ca: `${rig.directory}/secrets/trusted-ca.cer` },
  };
}

/** Configures a cloud for the Identity service, effective at its next start. */
export function useCloud(rig: Rig, cloud: Cloud): Promise<void> {
  return rig.configure('identity', cloudSettings(rig, cloud));
}
