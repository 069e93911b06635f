import { ServiceError } from '../errors.ts';
import { type Certificate, isCa, isIssuedBy, isSelfIssued, isSelfSigned } from './certificate.ts';
import type { Validity } from './validity.ts';

// finding issuers needs a signature check per pair of the same name
const maxChain = 16;

/** A path from a leaf to the last issuer that is present, and the certificates that are not on it. */
interface Path {
  readonly chain: readonly Certificate[];
  readonly others: readonly Certificate[];
}

/** A CA and the known CAs above it, in order. */
export type CaPath = readonly [Certificate, ...Certificate[]];

/**
 * The certificates, without duplicates, in the order leaf, issuer, issuer's issuer, followed by the rest: other
 * certificates of the same CAs and unneeded roots. Undefined when there is not exactly one leaf, or an unrelated CA.
 */
export function orderChain(
  certificates: readonly Certificate[],
): readonly Certificate[] | undefined {
  const path = pathIn(unique(certificates), 'other CAs first');
  return path && [...path.chain, ...path.others];
}

/**
 * Arranges the certificates of one id: a leaf and its chain are sorted; CA certificates and roots that do not form a
 * chain are a bundle, whose order is preserved. InvalidArgs for anything else.
 */
export function arrange(certificates: readonly Certificate[]): readonly Certificate[] {
  const all = unique(certificates);
  const path = pathIn(all, 'other CAs first');
  if (path === undefined) {
    // a root of version 1 cannot state that it is a CA
    if (all.every((one) => one.basicConstraints.ca || isSelfIssued(one))) return all;
    throw new ServiceError('InvalidArgs', `the certificates are not one chain: ${whyNot(all)}`);
  }
  const problem = problemOf(path);
  // a cross-signed CA may be limited where the root of the same name is not
  const other = problem === undefined ? undefined : pathIn(all, 'roots first');
  const good = other !== undefined && problemOf(other) === undefined ? other : path;
  if (good === path && problem !== undefined) throw problem;
  return [...good.chain, ...good.others];
}

/** Throws InvalidArgs unless each certificate is issued by the next, a CA whose path length allows it. */
export function verifyLinks(chain: readonly Certificate[]): void {
  for (const [at, certificate] of chain.entries()) {
    const issuer = chain[at + 1];
    if (issuer === undefined) return;
    const name = issuer.subjectText;
    if (!isIssuedBy(certificate, issuer)) {
      throw new ServiceError('InvalidArgs', `${certificate.subjectText} is not issued by ${name}`);
    }
    if (!isCa(issuer)) throw new ServiceError('InvalidArgs', `${name} is not a CA`);
    // CAs below the issuer, self-issued ones not counted (RFC 5280 4.2.1.9)
    const between = chain.slice(1, at + 1).filter((one) => !isSelfIssued(one));
    if (between.length > (issuer.basicConstraints.pathLength ?? Number.POSITIVE_INFINITY)) {
      throw new ServiceError('InvalidArgs', `the path length of ${name} is exceeded`);
    }
  }
}

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
    const below = path.slice(0, at).filter((one) => !isSelfIssued(one));
    return (ca.basicConstraints.pathLength ?? Number.POSITIVE_INFINITY) - below.length;
  });
  const least = Math.min(...room);
  if (least < 0) {
    const name = path[0].subjectText;
    throw new ServiceError('InvalidArgs', `the path length above ${name} is exceeded`);
  }
  return least;
}

/** The period in which all certificates of a path are valid. */
export function validityOf(path: CaPath): Validity {
  return {
    notBefore: new Date(Math.max(...path.map(({ notBefore }) => notBefore.getTime()))),
    notAfter: new Date(Math.min(...path.map(({ notAfter }) => notAfter.getTime()))),
  };
}

function unique(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((one) => [one.fingerprint, one])).values()];
}

function pathIn(
  all: readonly Certificate[],
  preference: 'other CAs first' | 'roots first',
): Path | undefined {
  if (all.length > maxChain) return undefined;
  const [leaf, another] = leavesOf(all);
  if (leaf === undefined || another !== undefined) return undefined;
  const others = new Set(all);
  const chain: Certificate[] = [];
  for (let next: Certificate | undefined = leaf; next !== undefined; ) {
    const current: Certificate = next;
    chain.push(current);
    others.delete(current);
    const issuers: readonly Certificate[] = isSelfSigned(current)
      ? []
      : [...others].filter((candidate) => isIssuedBy(current, candidate));
    const isFirst = (one: Certificate): boolean =>
      isSelfIssued(one) === (preference === 'roots first');
    next = issuers.find(isFirst) ?? issuers[0];
  }
  return { chain, others: [...others] };
}

/** The certificates that issued none of the others; without roots, unless there are only roots. */
function leavesOf(all: readonly Certificate[]): readonly Certificate[] {
  const lowest = all.filter(
    (candidate) => !all.some((other) => other !== candidate && isIssuedBy(other, candidate)),
  );
  const leaves = lowest.filter((one) => !isSelfIssued(one));
  return leaves.length === 0 ? lowest : leaves;
}

function whyNot(all: readonly Certificate[]): string {
  if (all.length > maxChain)
    return `there are ${all.length}, and no chain is longer than ${maxChain}`;
  const [one, other] = leavesOf(all);
  if (one === undefined || other === undefined) return 'each of them issued another one';
  return `neither ${one.subjectText} nor ${other.subjectText} issued any of the others`;
}

function problemOf({ chain }: Path): ServiceError | undefined {
  try {
    verifyLinks(chain);
    return undefined;
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
}
