import { isServiceError } from '../../errors.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../x509/algorithm.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  extensionOids,
  keyUsage,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
} from '../../x509/extensions.ts';
import type { Order } from '../issuers/issuer.ts';
import { isCaProfile, type ProfileRights, rightsOf } from '../issuers/profile.ts';
import type { Demand } from './csr-attributes.ts';
import { extendRequest, extensionsIn } from './request-extensions.ts';

/**
 * The request of an order with the extensions that a server wants and that the profile allows. The same octets where
 * there is none, or where the caller of Issue has signed the request.
 */
export async function followDemands(order: Order, demands: readonly Demand[]): Promise<Buffer> {
  const { csr, key, profile } = order;
  if (key.signer === undefined) return csr;
  const rights = rightsOf(profile, keyAlgorithmOf(publicKeyOf(key.spki)));
  const isCa = isCaProfile(profile);
  const present = new Set(extensionsIn(csr).map(({ oid }) => oid));
  const wanted = demands
    .filter(({ oid }) => !present.has(oid))
    .flatMap((demand) => readAllowed(demand, rights, isCa) ?? []);
  const different = [...new Map(wanted.map((one) => [one.oid, one])).values()];
  return different.length === 0 ? csr : extendRequest(csr, different, key.signer);
}

/** As `allowedExtension`; undefined also for an extension that is malformed. */
function readAllowed(
  ...wanted: Parameters<typeof allowedExtension>
): ReturnType<typeof allowedExtension> {
  try {
    return allowedExtension(...wanted);
  } catch (error) {
    if (isServiceError(error, 'InvalidArgs')) return undefined;
    throw error;
  }
}

/** The extension that is wanted; undefined for one that asks for more than the profile allows. */
function allowedExtension(
  { oid, value }: Demand,
  rights: ProfileRights,
  isCa: boolean,
): Extension | undefined {
  const asked = value && { oid, critical: false, value };
  switch (oid) {
    case extensionOids.extendedKeyUsage: {
      const purposes = asked === undefined ? rights.extendedKeyUsage : readExtendedKeyUsage(asked);
      const isAllowed = purposes.every((one) => rights.extendedKeyUsage.includes(one));
      return isAllowed && purposes.length > 0 ? extendedKeyUsage(purposes) : undefined;
    }
    case extensionOids.keyUsage: {
      const usages = asked === undefined ? rights.keyUsage : readKeyUsage(asked);
      const isAllowed = usages.every((one) => rights.keyUsage.includes(one));
      return isAllowed && usages.length > 0 ? keyUsage(usages) : undefined;
    }
    case extensionOids.basicConstraints: {
      if (asked !== undefined && readBasicConstraints(asked).ca !== isCa) return undefined;
      return basicConstraints(isCa ? { ca: true, pathLength: rights.pathLength } : { ca: false });
    }
    default:
      return undefined;
  }
}
