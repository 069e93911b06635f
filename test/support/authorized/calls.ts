/**
 * The authorization requests of each method, written by hand and not derived from the interface tables:
 * a detail that a table omits, adds, or takes from another argument differs from these.
 */
import type { ServiceName } from '../rig/rig-services.ts';
import type { AuthorizedCall } from './call.ts';
import { certificateCalls } from './certificates.ts';
import { identityCalls } from './identity.ts';
import { keyCalls } from './keys.ts';
import { moduleCalls } from './modules.ts';

/** The methods that every local user may call. */
export const publicMethods: Readonly<Record<ServiceName, readonly string[]>> = {
  keys: ['GetPublicKey', 'GetRandom', 'Describe'],
  certificates: ['GetCertificate', 'GetTrustBundle', 'Describe'],
  identity: [
    'GetDeviceIdentity',
    'GetCallerIdentity',
    'GetModuleIdentity',
    'ListModuleIdentities',
    'Describe',
  ],
  modules: ['GetSystemInfo', 'GetResources', 'Describe'],
};

/** The actions that polkit allows by default. */
export const allowedByDefault: readonly string[] = ['org.iotedge.certificates1.export'];

/** The calls of every method of the four services that is not public. */
export const authorizedCalls: readonly AuthorizedCall[] = [
  ...keyCalls,
  ...certificateCalls,
  ...identityCalls,
  ...moduleCalls,
];
