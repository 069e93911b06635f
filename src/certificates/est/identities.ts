/** The identities that an EST client offers, in which order, and when a server has refused one. */
import { ServiceError } from '../../errors.ts';
import { HttpsFailure } from '../../https/https-failure.ts';
import type { ClientCertificate } from '../../https/https-request.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  isIssuedBy,
  isSelfSigned,
} from '../../x509/certificate.ts';

/** A certificate whose key is in the Keys service. */
export interface IdentityCertificate {
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  readonly keyId: string;
}

/** A way to authenticate a client of an EST server. */
export interface Identity {
  /** For messages. */
  readonly name: string;
  /** Undefined: HTTP Basic alone, or nothing at all. */
  readonly certificate: IdentityCertificate | undefined;
}

/** What a device without certificates offers. */
export const anonymous: Identity = { name: 'no certificate', certificate: undefined };

/** The identities that may be offered. */
export interface IdentityCandidates {
  /** The issuer's `identity`, else the certificate that is renewed. */
  readonly first: Identity | undefined;
  readonly bootstrap: Identity | undefined;
  readonly hasPassword: boolean;
}

/** Each identity once: certificates that have expired come last, since some servers accept them. */
export function identitiesOf(
  { first, bootstrap, hasPassword }: IdentityCandidates,
  now: Date,
): readonly Identity[] {
  const certificates = [first, bootstrap].filter((one) => one !== undefined);
  const leafOf = ({ certificate }: Identity): Certificate | undefined => certificate?.chain[0];
  const different = certificates.filter(
    (one, at) =>
      !certificates
        .slice(0, at)
        .some((before) => leafOf(before)?.fingerprint === leafOf(one)?.fingerprint),
  );
  const isExpired = (one: Identity): boolean => (leafOf(one)?.notAfter ?? now) < now;
  const alone = { name: 'the password alone', certificate: undefined };
  const all = [
    ...different.filter((one) => !isExpired(one)),
    ...(hasPassword ? [alone] : []),
    ...different.filter(isExpired).map((one) => ({ ...one, name: `${one.name} (expired)` })),
  ];
  return all.length === 0 ? [anonymous] : all;
}

/** The certificate for the handshake, with its issuing CAs: a server may know the root only. */
export function toClientCertificate(
  { chain, keyId }: IdentityCertificate,
  cas: readonly Certificate[],
): ClientCertificate {
  const [leaf] = chain;
  if (leaf === undefined) throw new ServiceError('NotFound', 'the client certificate is empty');
  const presented = [leaf];
  for (let current: Certificate | undefined = leaf; current !== undefined; ) {
    const below: Certificate = current;
    current = [...chain, ...cas].find(
      (one) => isIssuedBy(below, one) && !isSelfSigned(one) && !presented.includes(one),
    );
    if (current !== undefined) presented.push(current);
  }
  return { chainPem: encodeCertificatesPem(presented), keyId, spki: leaf.spki };
}

/** Alerts with which servers refuse a client certificate, or the lack of one (RFC 8446 6.2). */
const refusals: ReadonlySet<number> = new Set([40, 42, 43, 45, 46, 48, 49, 116]);
/**
 * The alert illegal_parameter: OpenSSL's, to a client certificate with a curve or a signature that the server does not
 * take. libest asks by csrattrs for keys of P-384, and takes client certificates of P-256.
 */
const illegalParameter = 47;
const revoked = 44;
/** From the Keys service, for a key that is missing or was replaced. */
const keyNotFound = 'org.iotedge.Error.NotFound';
/** From the Keys service, for a key without a grant. */
const keyDenied: ReadonlySet<string> = new Set([
  'org.freedesktop.DBus.Error.AccessDenied',
  'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired',
]);

/**
 * What a failed exchange means for the identity that was offered; `lost` when its key does not exist any more, `denied`
 * when it may not be used.
 */
export type FailedOffer = 'refused' | 'revoked' | 'closed' | 'lost' | 'denied' | 'other';

/** Judges the failure of an exchange of an identity: `closed` is a refusal only when it happens twice running. */
export function judgeFailure(
  error: unknown,
  { certificate }: Pick<Identity, 'certificate'>,
): FailedOffer {
  const failure = error instanceof ServiceError ? error.cause : undefined;
  if (!(failure instanceof HttpsFailure)) return 'other';
  if (failure.kind === 'client-certificate') return unusableBy(failure);
  if (failure.kind !== 'connection') return 'other';
  const { alert } = failure.facts;
  if (alert === revoked) return 'revoked';
  if (alert === illegalParameter && certificate !== undefined) return 'refused';
  if (alert !== undefined) return refusals.has(alert) ? 'refused' : 'other';
  return failure.code === 'ECONNRESET' || failure.code === 'EPIPE' ? 'closed' : 'other';
}

function unusableBy({ code }: HttpsFailure): FailedOffer {
  if (code === keyNotFound) return 'lost';
  return keyDenied.has(code) ? 'denied' : 'other';
}
