import { isServiceError, ServiceError } from '../../../errors.ts';
import {
  keyAlgorithmOf,
  publicKeyOf,
  type SignatureAlgorithm,
  type Signer,
} from '../../../x509/algorithm.ts';
import { requestInfoOf, signatureAlgorithmIn, signRequestInfo } from '../../../x509/csr.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  extensionOids,
  keyUsage,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
} from '../../../x509/extensions.ts';
import type { Order, OrderKey } from '../../issuers/issuer.ts';
import { isCaProfile, type ProfileRights, rightsOf } from '../../issuers/profile.ts';
import { type Demand, wantsChallengePassword } from './csr-attributes.ts';
import { bestSignature } from './key-demands.ts';
import type { EnrolRequest } from './pending-request.ts';
import { PreferredSigner } from './preferred-signer.ts';
import { extensionsIn, withExtensions, withTlsUnique } from './request-extensions.ts';

/**
 * The request of an order with the attributes that a server wants and that the profile allows: as it is where the caller
 * of Issue has signed it. NotSupported when that one has to carry a tls-unique.
 */
export async function followDemands(
  order: Order,
  demands: readonly Demand[],
): Promise<EnrolRequest> {
  const { signer } = order.key;
  const isBound = wantsChallengePassword(demands);
  if (signer === undefined) {
    if (!isBound) return { kind: 'signed', csr: order.request };
    const why = 'wants the tls-unique in a request that only its key can sign: enroll instead';
    throw new ServiceError('NotSupported', `the server ${why}`);
  }
  const template = templateFor(order, demands);
  const wanted = signerFor(order.key, signer, demands);
  if (isBound) return { kind: 'bound', template, signer: wanted };
  return { kind: 'signed', csr: await signRequestInfo(template, wanted) };
}

/** The signature algorithm of a request, of one that is bound as it was when it was sent. */
export function signatureOf(request: EnrolRequest): SignatureAlgorithm {
  return request.kind === 'signed' ? signatureAlgorithmIn(request.csr) : request.signer.algorithm;
}

/** The signer with the hash that a server wants, where the Keys service can. */
function signerFor(
  { spki, signerWith }: OrderKey,
  usual: Signer,
  demands: readonly Demand[],
): Signer {
  const key = keyAlgorithmOf(publicKeyOf(spki));
  const wanted = bestSignature(demands, { key, signature: usual.algorithm });
  if (wanted === usual.algorithm || signerWith === undefined) return usual;
  return new PreferredSigner(signerWith(wanted), usual);
}

/** The request with the tls-unique of its connection, signed. */
export function bind(
  { template, signer }: EnrolRequest & { readonly kind: 'bound' },
  tlsUnique: Buffer,
): Promise<Buffer> {
  return signRequestInfo(withTlsUnique(template, tlsUnique), signer);
}

/** The names, the key and the extensions of a request, signed or not. */
export function contentOf(request: EnrolRequest): Buffer {
  return request.kind === 'signed' ? request.csr : request.template;
}

/** The CertificationRequestInfo of an order with the extensions that a server wants and that the profile allows. */
function templateFor({ key, profile, request }: Order, demands: readonly Demand[]): Buffer {
  const info = requestInfoOf(request);
  const rights = rightsOf(profile, keyAlgorithmOf(publicKeyOf(key.spki)));
  const isCa = isCaProfile(profile);
  const present = new Set(extensionsIn(info).map(({ oid }) => oid));
  const wanted = demands
    .filter(({ oid }) => !present.has(oid))
    .flatMap((demand) => readAllowed(demand, rights, isCa) ?? []);
  const different = [...new Map(wanted.map((one) => [one.oid, one])).values()];
  return different.length === 0 ? info : withExtensions(info, different);
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
