import { ServiceError } from '../../errors.ts';
import type { Signer } from '../../x509/algorithm.ts';
import {
  type Certificate,
  isIssuedBy,
  isSelfSigned,
  parseCertificate,
} from '../../x509/certificate.ts';
import { buildCertificate, validityWithin } from '../../x509/certificate-builder.ts';
import { subjectAlternativeName } from '../../x509/extensions.ts';
import { checkPurposes, pathOf, roomBelow, validityOf } from './ca-path.ts';
import type { Granted } from './policy.ts';
import { extensionsOf, type ProfileRights } from './profile.ts';

/** A CA of this device: its certificate with those above it, and the signer for its key. */
export interface LocalCa {
  readonly id: string;
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly signer: Signer;
}

/** The content of a certificate to be issued. */
export interface CertifiedKey {
  readonly spki: Buffer;
  readonly granted: Granted;
  readonly rights: ProfileRights;
}

/**
 * Issues a certificate and returns its chain: leaf, CA, and the CA's issuers without the root. InvalidArgs when the
 * issuer or a CA above it may not issue such a certificate, Unavailable when one is not valid now.
 */
export async function issueWithLocalCa(
  { id, chain, signer }: LocalCa,
  { spki, granted, rights }: CertifiedKey,
  now: Date,
): Promise<readonly Certificate[]> {
  const [issuer, ...others] = chain;
  const path = pathOf(issuer, others);
  const room = roomBelow(path);
  if (rights.pathLength !== undefined && room === 0) {
    throw new ServiceError('InvalidArgs', `the path length of "${id}" allows no CA below it`);
  }
  checkPurposes(path, rights);
  const { subjectDer, names, lifetimeS } = granted;
  const critical = subjectDer.length === 2; // an empty SEQUENCE
  const der = await buildCertificate(
    {
      subjectDer,
      spki,
      validity: validityWithin(validityOf(path), { now, lifetimeMs: lifetimeS * 1000 }),
      extensions: [
        ...extensionsOf(rights, room),
        ...(names.length === 0 ? [] : [subjectAlternativeName(names, { critical })]),
      ],
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
