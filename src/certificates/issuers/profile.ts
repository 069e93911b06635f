import type { KeyAlgorithm } from '../../x509/algorithm.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  type KeyUsage,
  keyUsage,
} from '../../x509/extensions.ts';
import type { Profile } from '../config/certificate-rule.ts';

/** The rights of certificates of a profile. */
export interface ProfileRights {
  /** Undefined for a leaf, else how many CAs are allowed below it. */
  readonly pathLength: number | undefined;
  readonly keyUsage: readonly KeyUsage[];
  readonly extendedKeyUsage: readonly string[];
}

const leaf: readonly KeyUsage[] = ['digitalSignature'];
const ca: readonly KeyUsage[] = ['keyCertSign', 'cRLSign'];

const rights: Readonly<Record<Profile, ProfileRights>> = {
  'device-identity': { pathLength: undefined, keyUsage: leaf, extendedKeyUsage: ['clientAuth'] },
  client: { pathLength: undefined, keyUsage: leaf, extendedKeyUsage: ['clientAuth'] },
  server: { pathLength: undefined, keyUsage: leaf, extendedKeyUsage: ['serverAuth'] },
  // below a device CA is the workload CA, below that only leaves
  'device-ca': { pathLength: 1, keyUsage: ca, extendedKeyUsage: [] },
  'workload-ca': { pathLength: 0, keyUsage: ca, extendedKeyUsage: [] },
};

/** The rights of a profile; servers with RSA keys may also decipher keys, for TLS 1.2 without forward secrecy. */
export function rightsOf(profile: Profile, key: KeyAlgorithm): ProfileRights {
  const found = rights[profile];
  if (profile !== 'server' || !key.startsWith('rsa-')) return found;
  return { ...found, keyUsage: [...found.keyUsage, 'keyEncipherment'] };
}

/** Whether certificates of a profile can issue others. */
export function isCaProfile(profile: Profile): boolean {
  return rights[profile].pathLength !== undefined;
}

/** The extensions that state the rights, below an issuer that allows so many CAs. */
export function extensionsOf(
  { pathLength, keyUsage: usages, extendedKeyUsage: purposes }: ProfileRights,
  room: number,
): readonly Extension[] {
  const ca = pathLength !== undefined;
  const below = Math.min(pathLength ?? 0, room - 1);
  return [
    basicConstraints(ca ? { ca, pathLength: below } : { ca }),
    keyUsage(usages),
    ...(purposes.length === 0 ? [] : [extendedKeyUsage(purposes)]),
  ];
}
