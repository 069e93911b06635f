import { ServiceError } from '../errors.ts';
import { type Certificate, isCa, isIssuedBy, isSelfSigned } from './certificate.ts';

// ordering costs a signature check per pair
const maxChain = 16;

/**
 * The certificates in the order leaf, issuer, issuer's issuer; undefined when they are not one chain.
 * Repetitions are left out.
 */
export function orderChain(certificates: readonly Certificate[]): Certificate[] | undefined {
  const rest = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate]));
  if (rest.size > maxChain) return undefined;
  const leaves = [...rest.values()].filter(
    (candidate) =>
      ![...rest.values()].some((other) => other !== candidate && isIssuedBy(other, candidate)),
  );
  const [leaf, another] = leaves;
  if (leaf === undefined || another !== undefined) return undefined;
  const chain: Certificate[] = [];
  for (let next: Certificate | undefined = leaf; next !== undefined; ) {
    const current: Certificate = next;
    chain.push(current);
    rest.delete(current.fingerprint);
    next = isSelfSigned(current)
      ? undefined
      : [...rest.values()].find((candidate) => isIssuedBy(current, candidate));
  }
  return rest.size === 0 ? chain : undefined;
}

/**
 * What is handed in for one id: a leaf with its chain in any order is put in order; CA certificates that
 * are no chain are a bundle and keep their order. InvalidArgs for anything else.
 */
export function arrange(certificates: readonly Certificate[]): readonly Certificate[] {
  const chain = orderChain(certificates);
  if (chain !== undefined) {
    verifyLinks(chain);
    return chain;
  }
  if (certificates.every((certificate) => certificate.basicConstraints.ca)) return certificates;
  throw new ServiceError('InvalidArgs', 'the certificates are not one chain');
}

/** Checks that each certificate is issued by the next, a CA whose path length allows it; else InvalidArgs. */
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
    const between = chain.slice(1, at + 1).filter((one) => !one.subjectDer.equals(one.issuerDer));
    if (between.length > (issuer.basicConstraints.pathLength ?? Number.POSITIVE_INFINITY)) {
      throw new ServiceError('InvalidArgs', `the path length of ${name} is exceeded`);
    }
  }
}
