/** The limits of a CA, which include those of every CA above it, since verifiers check the whole path. */
import { ServiceError } from '../../errors.ts';
import { type Certificate, isCa, isIssuedBy, isSelfSigned } from '../../x509/certificate.ts';
import type { Validity } from '../../x509/validity.ts';
import type { ProfileRights } from './profile.ts';

/** A CA and the known CAs above it, in order. */
export type CaPath = readonly [Certificate, ...Certificate[]];

const anyPurpose = '2.5.29.37.0';

/** The path of a CA, as far as its issuers are among the others. */
export function pathOf(ca: Certificate, others: readonly Certificate[]): CaPath {
  const path: [Certificate, ...Certificate[]] = [ca];
  const rest = new Set(others.filter(({ fingerprint }) => fingerprint !== ca.fingerprint));
  for (let current = ca; !isSelfSigned(current); ) {
    const issuer = [...rest].find((one) => isIssuedBy(current, one));
    if (issuer === undefined) break;
    rest.delete(issuer);
    path.push(issuer);
    current = issuer;
  }
  return path;
}

/**
 * How many CAs are allowed between the first CA of a path and a leaf. InvalidArgs when one of the path is not a CA, or
 * when it does not even allow a leaf.
 */
export function roomBelow(path: CaPath): number {
  const room = path.map((ca, at) => {
    if (!isCa(ca)) throw new ServiceError('InvalidArgs', `${ca.subjectText} is not a CA`);
    // self-issued ones are not counted (RFC 5280 4.2.1.9)
    const below = path.slice(0, at).filter((one) => !one.subjectDer.equals(one.issuerDer));
    return (ca.basicConstraints.pathLength ?? Number.POSITIVE_INFINITY) - below.length;
  });
  const least = Math.min(...room);
  if (least < 0) {
    const name = path[0].subjectText;
    throw new ServiceError('InvalidArgs', `the path length above ${name} is exceeded`);
  }
  return least;
}

/** Throws InvalidArgs when a CA of a path is limited to other purposes than these. */
export function checkPurposes(path: CaPath, { extendedKeyUsage: wanted }: ProfileRights): void {
  for (const { extendedKeyUsage: allowed, subjectText } of path) {
    if (allowed === undefined || allowed.includes(anyPurpose)) continue;
    const missing = wanted.find((purpose) => !allowed.includes(purpose));
    if (missing === undefined) continue;
    throw new ServiceError('InvalidArgs', `${subjectText} may not issue for ${missing}`);
  }
}

/** The period in which all certificates of a path are valid. */
export function validityOf(path: CaPath): Validity {
  return {
    notBefore: new Date(Math.max(...path.map(({ notBefore }) => notBefore.getTime()))),
    notAfter: new Date(Math.min(...path.map(({ notAfter }) => notAfter.getTime()))),
  };
}
