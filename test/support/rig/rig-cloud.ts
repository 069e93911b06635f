import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { Cloud, type CloudOptions } from '../cloud/cloud.ts';
import type { Rig } from './rig.ts';
import { deviceName, scopeId } from './rig-config.ts';

/**
 * Starts a cloud double that knows the device of a rig, and has decided by the first poll, which comes a second after a
 * registration; the caller disposes of it.
 */
export async function startRigCloud(rig: Rig, options: Partial<CloudOptions> = {}): Promise<Cloud> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return Cloud.start({
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    certificate: await rig.authority.certify('localhost', createPublicKey(privateKey), 'server'),
    clientRoots: await rig.authority.certificate(),
    scopeId,
    enrollments: new Map([[deviceName, { deviceId: deviceName }]]),
    assigningPolls: 0,
    ...options,
  });
}

/** Settings of the Identity service with which it reaches a cloud. */
export function cloudSettings(rig: Rig, cloud: Cloud) {
  return {
    provisioning: { global_endpoint: cloud.endpoint },
    cloud: { trusted_ca: `${rig.directory}/secrets/trusted-ca.cer` },
  };
}

/** Points the Identity service at a cloud; it reads that when it starts next. */
export function useCloud(rig: Rig, cloud: Cloud): Promise<void> {
  return rig.configure('identity', cloudSettings(rig, cloud));
}
