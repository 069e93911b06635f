import type { Via } from '../../dbus/client/via.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { unrotated } from '../../glob.ts';
import { keyAlgorithmOf, publicKeyOf, type Signer } from '../../x509/algorithm.ts';
import {
  type Certificate,
  isIssuedBy,
  isSelfSigned,
  parseCertificate,
} from '../../x509/certificate.ts';
import { buildCertificate, validityWithin } from '../../x509/certificate-builder.ts';
import { pathOf, roomBelow, validityOf } from '../../x509/chain.ts';
import { checkPurposes } from './ca-purposes.ts';
import { issuedExtensions } from './issued-extensions.ts';
import type { Answer, Issuer, Order } from './issuer.ts';
import { defaultLifetimeS } from './policy.ts';
import { type ProfileRights, rightsOf } from './profile.ts';

/** A CA of this device: its certificate with those above it, and the signer for its key. */
export interface LocalCa {
  readonly id: string;
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly signer: Signer;
}

/** Options of `LocalCaIssuer`. */
export interface LocalCaIssuerOptions {
  /** The CA, as it is now, for a certificate of that id. */
  readonly authority: (via: Via, certificateId: string) => Promise<LocalCa>;
  /** Called when the key of the CA is not the one that its certificate certifies any more. */
  readonly onKeyReplaced: (ca: Certificate) => void;
}

/** Issues with a CA of this device. */
export class LocalCaIssuer implements Issuer {
  readonly #options: LocalCaIssuerOptions;

  constructor(options: LocalCaIssuerOptions) {
    this.#options = options;
  }

  /** InvalidArgs when the CA or one above it may not issue such a certificate, Unavailable when one is not valid now. */
  async submit(order: Order, via: Via): Promise<Answer> {
    const authority = await this.#options.authority(via, order.id);
    try {
      return { kind: 'issued', chain: await issueWithLocalCa(authority, order) };
    } catch (error) {
      if (isServiceError(error, 'NotFound')) this.#options.onKeyReplaced(authority.chain[0]);
      throw error;
    }
  }
}

/** Issues a certificate and returns its chain: leaf, CA, and the CA's issuers without the root. */
async function issueWithLocalCa(
  { id, chain, signer }: LocalCa,
  order: Order,
): Promise<readonly Certificate[]> {
  const { profile, subjectDer, lifetimeS = defaultLifetimeS, key, now } = order;
  const { spki, algorithm = keyAlgorithmOf(publicKeyOf(spki)) } = key;
  const rights: ProfileRights = rightsOf(profile, algorithm);
  const [issuer, ...others] = chain;
  const path = pathOf(issuer, others);
  const room = roomBelow(path);
  if (rights.pathLength !== undefined && room === 0) {
    throw new ServiceError('InvalidArgs', `the path length of "${id}" allows no CA below it`);
  }
  checkPurposes(path, rights);
  const der = await buildCertificate(
    {
      subjectDer,
      spki,
      validity: validityWithin(validityOf(path), { now, lifetimeMs: lifetimeS * 1000 }),
      extensions: issuedExtensions(order, rights, room),
    },
    issuer,
    signer,
  );
  const certificate = parseCertificate(der, 'the new certificate');
  // an invalid signature must not be published, also not one of the Keys service
  if (!isIssuedBy(certificate, issuer)) {
    throw new ServiceError('Failed', `the signature by the key of ${id} does not verify`);
  }
  return [certificate, ...path.filter((one, at) => at === 0 || !isSelfSigned(one))];
}

/**
 * Whether a CA may issue with the key that matches it. A user that may import a certificate for a public key of the
 * services must not issue with their key that way: rules guard the id of the issuer, not that of its key.
 */
export function mayIssueWith(issuerId: string, keyId: string): boolean {
  const reserved = 'iotedge/';
  if (!keyId.startsWith(reserved) || issuerId.startsWith(reserved)) return true;
  return unrotated(keyId) === `${reserved}certificate/${issuerId}`;
}
