/** The trust anchors that an EST server teaches by cacerts (RFC 7030 4.1.3), and which later ones are believed. */
import { ServiceError } from '../../../errors.ts';
import { type Certificate, isCa, isIssuedBy } from '../../../x509/certificate.ts';

/** The CA certificates of one EST server. */
export interface TaughtAnchors {
  /** Self-signed: TLS and issued certificates are verified with them. */
  readonly roots: readonly Certificate[];
  /** The topmost CAs of a server that sent no root: for issued certificates only. */
  readonly topmost: readonly Certificate[];
  /** Certificates of new roots that were signed by old ones: intermediates of TLS until the old root ends. */
  readonly newWithOld: readonly Certificate[];
  /** The other CAs of the last answer, for chains. */
  readonly intermediates: readonly Certificate[];
}

/** What an answer of cacerts has changed. */
export interface Lesson {
  readonly taught: TaughtAnchors;
  /** Roots that are new and that nothing vouches for. */
  readonly refused: readonly Certificate[];
  readonly added: readonly Certificate[];
}

/** What decides whether a root counts. */
export interface Vouchers {
  /** The certificates of `trusted_ca`. */
  readonly trusted: readonly Certificate[];
  readonly now: Date;
}

/** The most that are kept of each kind. */
const maxKept = 32;
/** CAs of one name can be combined in any number of ways, and each takes the service a signature check. */
const maxSignatures = 2000;

/** Signature checks of one answer; they throw Unavailable when there are more than any real set of CAs takes. */
class Signatures {
  #left = maxSignatures;

  readonly isIssuedBy = (certificate: Certificate, issuer: Certificate): boolean => {
    if (!certificate.issuerDer.equals(issuer.subjectDer)) return false;
    if (--this.#left < 0) {
      const problem = `its CA certificates take more than ${maxSignatures} signature checks`;
      throw new ServiceError('Unavailable', `the answer of cacerts is refused: ${problem}`);
    }
    return isIssuedBy(certificate, issuer);
  };

  readonly isSelfSigned = (certificate: Certificate): boolean =>
    this.isIssuedBy(certificate, certificate);
}

/**
 * Learns from an answer of cacerts. The first one teaches its roots, or its topmost CA where there is none. A later
 * root counts when it was signed with the key of a taught one or is configured as trusted. Unavailable when that takes
 * too many signature checks.
 */
export function learn(
  before: TaughtAnchors | undefined,
  offered: readonly Certificate[],
  vouchers: Vouchers,
): Lesson {
  const cas = offered.filter((one) => isCa(one) && isCurrent(one, vouchers.now));
  const signatures = new Signatures();
  const roots = cas.filter(signatures.isSelfSigned);
  const intermediates = intermediatesAmong(cas, roots);
  if (before === undefined) return firstLesson({ cas, roots, intermediates }, signatures);
  const known = [...before.roots];
  const bridges: Certificate[] = [];
  let rest = roots.filter((root) => !isAmong(root, known));
  for (let hasChanged = true; hasChanged; ) {
    hasChanged = false;
    for (const root of rest) {
      const bridge = newWithOldFor(root, { cas, known, now: vouchers.now, signatures });
      if (bridge === undefined && !isAmong(root, vouchers.trusted)) continue;
      known.push(root);
      if (bridge !== undefined && bridge !== root) bridges.push(bridge);
      hasChanged = true;
    }
    rest = rest.filter((root) => !isAmong(root, known));
  }
  const added = known.slice(before.roots.length);
  const taught = {
    roots: kept(known, vouchers.now),
    topmost: before.topmost,
    newWithOld: kept(unique([...before.newWithOld, ...bridges]), vouchers.now),
    intermediates,
  };
  return { taught, added, refused: rest };
}

function firstLesson(
  {
    cas,
    roots,
    intermediates,
  }: Readonly<Record<'cas' | 'roots' | 'intermediates', readonly Certificate[]>>,
  { isIssuedBy: isIssued }: Signatures,
): Lesson {
  const isTopmost = (one: Certificate): boolean =>
    !cas.some((other) => other !== one && isIssued(one, other));
  const topmost = roots.length > 0 ? [] : cas.filter(isTopmost).slice(0, maxKept);
  const taught = {
    roots: unique(roots).slice(0, maxKept),
    topmost,
    newWithOld: [],
    intermediates,
  };
  return { taught, added: [...taught.roots, ...topmost], refused: [] };
}

/**
 * The certificate for a new root's name and key that a taught root signed. The reverse, the old root signed by the
 * new, proves nothing: any key can sign the old public key.
 */
function newWithOldFor(
  root: Certificate,
  {
    cas,
    known,
    now,
    signatures,
  }: {
    readonly cas: readonly Certificate[];
    readonly known: readonly Certificate[];
    readonly now: Date;
    readonly signatures: Signatures;
  },
): Certificate | undefined {
  const current = known.filter((one) => isCurrent(one, now));
  return cas.find(
    (one) =>
      one.subjectDer.equals(root.subjectDer) &&
      one.spki.equals(root.spki) &&
      hasSoundSignature(one) &&
      current.some((old) => signatures.isIssuedBy(one, old)),
  );
}

/** The anchors that issued certificates are verified with. */
export function anchorsFor({ roots, topmost }: TaughtAnchors): readonly Certificate[] {
  return [...roots, ...topmost];
}

/** The roots that TLS trusts beside the configured ones, and the intermediates that lead from new roots to old ones. */
export function tlsAnchorsOf(
  { roots, newWithOld }: TaughtAnchors,
  now: Date,
): readonly Certificate[] {
  const old = roots.filter((root) => isCurrent(root, now));
  return [...roots, ...newWithOld.filter((one) => old.some((root) => isIssuedBy(one, root)))];
}

/** Whether the time is within the validity of a certificate. */
export function isCurrent({ notBefore, notAfter }: Certificate, now: Date): boolean {
  return notBefore <= now && now <= notAfter;
}

function isAmong({ fingerprint }: Certificate, others: readonly Certificate[]): boolean {
  return others.some((other) => other.fingerprint === fingerprint);
}

/** Whether the signature is none of SHA-1 or MD5, which can be forged. */
function hasSoundSignature({ signatureAlgorithm }: Certificate): boolean {
  return /(?:sha(?:256|384|512)|ed25519|ed448)$/.test(signatureAlgorithm);
}

function intermediatesAmong(
  cas: readonly Certificate[],
  roots: readonly Certificate[],
): readonly Certificate[] {
  return unique(cas.filter((one) => !roots.includes(one))).slice(0, maxKept);
}

function unique(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((one) => [one.fingerprint, one])).values()];
}

/** Those that count, without expired ones where there are too many: a clock may be wrong. */
function kept(certificates: readonly Certificate[], now: Date): readonly Certificate[] {
  if (certificates.length <= maxKept) return certificates;
  return certificates.filter((one) => isCurrent(one, now)).slice(-maxKept);
}
