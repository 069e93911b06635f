/** Certification paths (RFC 5280 6.1): node:crypto's `checkIssued` and `verify` check neither rights nor dates. */
import { type Certificate, isCa, isIssuedBy, isSelfIssued } from '../../x509/certificate.ts';
import { type Extension, extensionOids, readAuthorityKeyId } from '../../x509/extensions.ts';
import { NameConstraints, nameConstraintsOid } from './name-constraints.ts';

/** A certificate, the CAs above it and at last the trust anchor. */
export type CertificationPath = readonly [Certificate, ...Certificate[]];

/** The material of which a path is built, and what it has to fulfil. */
export interface PathOptions {
  /** The certificates that may be on the path. */
  readonly others: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  /** The extended key usages that every CA has to allow; dotted, or `serverAuth` and `clientAuth`. */
  readonly purposes: readonly string[];
  readonly now: Date;
}

const maxPath = 10;
/** As OpenSSL's security level 2 demands. */
const minModulus = 2048;
/** Certificates of one name can be combined to any number of paths. */
const maxSignatures = 100;
const anyPurpose = '2.5.29.37.0';
const acceptedSignatures: ReadonlySet<string> = new Set([
  ...['rsa-pkcs1', 'rsa-pss', 'ecdsa'].flatMap((scheme) =>
    ['sha256', 'sha384', 'sha512'].map((hash) => `${scheme}-${hash}`),
  ),
  'ed25519',
  'ed448',
]);
const processedExtensions: ReadonlySet<string> = new Set([
  ...Object.values(extensionOids),
  nameConstraintsOid,
]);

/**
 * The path from a certificate to an anchor, or why there is none. A path whose CAs are not valid yet is one: the caller
 * decides how long to wait.
 */
export function findPath(
  certificate: Certificate,
  options: PathOptions,
): { readonly path: CertificationPath } | { readonly problem: string } {
  return new Search(options).from(certificate);
}

/** Whether verifiers accept the hash of the signature, whatever key it was made with. */
export function hasAcceptedSignature({ signatureAlgorithm }: Certificate): boolean {
  return acceptedSignatures.has(signatureAlgorithm);
}

/** When all certificates of a path are valid. */
export function validFrom(path: CertificationPath): Date {
  return new Date(Math.max(...path.map(({ notBefore }) => notBefore.getTime())));
}

class Search {
  readonly #options: PathOptions;
  readonly #anchors: ReadonlySet<string>;
  readonly #candidates: readonly Certificate[];
  #signatures = 0;
  /** Of the first path that reached an anchor. */
  #problem: string | undefined;
  /** The end of the longest path that reached none. */
  #end: { readonly length: number; readonly certificate: Certificate } | undefined;

  constructor(options: PathOptions) {
    this.#options = options;
    this.#anchors = new Set(options.anchors.map(({ fingerprint }) => fingerprint));
    const all = [...options.anchors, ...options.others];
    this.#candidates = [...new Map(all.map((one) => [one.fingerprint, one])).values()];
  }

  from(
    certificate: Certificate,
  ): { readonly path: CertificationPath } | { readonly problem: string } {
    const path = this.#extend([certificate]);
    if (path !== undefined) return { path };
    if (this.#problem !== undefined) return { problem: this.#problem };
    const { subjectText, issuerText } = this.#end?.certificate ?? certificate;
    const issuer = JSON.stringify(issuerText);
    return {
      problem: `no trust anchor issued ${JSON.stringify(subjectText)}, whose issuer is ${issuer}`,
    };
  }

  #extend(path: CertificationPath): CertificationPath | undefined {
    const last = path.at(-1) ?? path[0];
    if (this.#anchors.has(last.fingerprint)) {
      const problem = problemOf(path, this.#options);
      if (problem === undefined) return path;
      this.#problem ??= problem;
      return undefined;
    }
    if (this.#end === undefined || path.length > this.#end.length) {
      this.#end = { length: path.length, certificate: last };
    }
    if (path.length === maxPath) return undefined;
    for (const issuer of this.#issuersOf(last)) {
      if (path.includes(issuer) || this.#signatures++ >= maxSignatures) continue;
      const found = isIssuedBy(last, issuer) ? this.#extend([...path, issuer]) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The certificates with the name of the issuer, first those with the key that the certificate names. */
  #issuersOf({ issuerDer, extensions }: Certificate): readonly Certificate[] {
    const extension = find(extensions, extensionOids.authorityKeyId);
    const keyId = extension === undefined ? undefined : readAuthorityKeyId(extension);
    const isNamed = (one: Certificate): boolean => keyId?.equals(one.keyIdentifier) === true;
    return this.#candidates
      .filter(({ subjectDer }) => subjectDer.equals(issuerDer))
      .toSorted((left, right) => Number(isNamed(right)) - Number(isNamed(left)));
  }
}

function find(extensions: readonly Extension[], wanted: string): Extension | undefined {
  return extensions.find(({ oid }) => oid === wanted);
}

function problemOf(path: CertificationPath, { purposes, now }: PathOptions): string | undefined {
  for (const [at, certificate] of path.entries()) {
    const name = JSON.stringify(certificate.subjectText);
    const problem =
      ownProblem(certificate, { isAnchor: at === path.length - 1, now }) ??
      (at === 0 ? undefined : issuerProblem(certificate, path.slice(0, at), purposes));
    if (problem !== undefined) return `${name} ${problem}`;
  }
  return undefined;
}

/** An anchor is trusted for its key: its signature is of no importance, its own limits are respected (RFC 5937). */
function ownProblem(
  certificate: Certificate,
  { isAnchor, now }: { readonly isAnchor: boolean; readonly now: Date },
): string | undefined {
  const { extensions, notAfter, signatureAlgorithm } = certificate;
  if (now > notAfter) return `has expired at ${notAfter.toISOString()}`;
  if (!isAnchor && !hasAcceptedSignature(certificate)) {
    return `is signed with ${signatureAlgorithm}, which is not accepted`;
  }
  const unknown = extensions.find(({ oid, critical }) => critical && !processedExtensions.has(oid));
  return unknown && `has the critical extension ${unknown.oid}, which is not supported`;
}

function issuerProblem(
  ca: Certificate,
  below: readonly Certificate[],
  purposes: readonly string[],
): string | undefined {
  if (!isCa(ca)) return 'is not a CA';
  const { modulusLength } = ca.publicKey?.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < minModulus) {
    return `has an RSA key of ${modulusLength} bits, which is too short`;
  }
  // self-issued ones between the CA and the leaf are not counted (RFC 5280 4.2.1.9)
  const between = below.slice(1).filter((one) => !isSelfIssued(one));
  if (between.length > (ca.basicConstraints.pathLength ?? Number.POSITIVE_INFINITY)) {
    return 'allows fewer CAs below it than there are';
  }
  const allowed = ca.extendedKeyUsage;
  const missing = purposes.find((purpose) => allowed?.includes(purpose) === false);
  if (missing !== undefined && allowed?.includes(anyPurpose) === false) {
    return `may not issue for ${missing}`;
  }
  return NameConstraints.of(ca)?.problemOf(
    below.filter((one, at) => at === 0 || !isSelfIssued(one)),
  );
}
