import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { Cloud, type CloudOptions } from '../cloud/cloud.ts';
import type { Rig } from './rig.ts';
import { deviceName, scopeId } from './rig-config.ts';

/**
 * Starts a cloud double with the device of a rig; it has assigned it by the first poll, a second after the
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
