import type { Properties } from '../dbus/definition.ts';
import type { certificateInterface } from '../interfaces/certificates.ts';
import type { Certificate } from '../x509/certificate.ts';
import { renewalTime } from '../x509/renewal-time.ts';
import type { CertificatesConfig } from './config.ts';
import { ruleFor } from './policy.ts';

/** A certificate that the service holds, with its chain, or what is known about one that is damaged. */
export interface Held {
  readonly id: string;
  /** Leaf first, or a bundle; empty when damaged. */
  readonly chain: readonly Certificate[];
  /** What was stored or configured, `` when neither. */
  readonly keyId: string;
  readonly preloaded: boolean;
  /** Why it cannot be used, undefined when it can. */
  readonly damage?: string | undefined;
}

/** Whether two lists hold the very same things. */
export function isSameList<T>(before: readonly T[], now: readonly T[]): boolean {
  return before.length === now.length && before.every((one, at) => one === now[at]);
}

/** Microseconds since the epoch, as times are on the bus. */
export function microseconds(time: Date): bigint {
  return BigInt(time.getTime()) * 1000n;
}

/** When renewal is due: 0n for what is not issued here. */
export function renewAtOf(held: Held, config: Pick<CertificatesConfig, 'certificates'>): bigint {
  const [certificate] = held.chain;
  const rule = ruleFor(config, held.id);
  if (certificate === undefined || held.preloaded || rule.method !== 'local_ca') return 0n;
  const percent = Number((rule.renew_at ?? '80%').slice(0, -1));
  return microseconds(renewalTime(certificate, percent / 100));
}

/** What the object of a certificate shows. */
export function propertiesOf(
  held: Held,
  { now, keyId, renewAt }: { readonly now: Date; readonly keyId: string; readonly renewAt: bigint },
): Properties<typeof certificateInterface> {
  const [certificate] = held.chain;
  return {
    CertificateId: held.id,
    KeyId: keyId,
    Subject: certificate?.subjectText ?? '',
    Issuer: certificate?.issuerText ?? '',
    SerialNumber: certificate?.serialNumber ?? '',
    NotBefore: certificate === undefined ? 0n : microseconds(certificate.notBefore),
    NotAfter: certificate === undefined ? 0n : microseconds(certificate.notAfter),
    SubjectAlternativeNames: certificate?.alternativeNames ?? [],
    Fingerprint: certificate?.fingerprint ?? '',
    Method: 'none',
    Profile: '',
    State: stateOf(certificate, now),
    RenewAt: renewAt,
    NextAttempt: 0n,
    LastError: held.damage ?? '',
    Preloaded: held.preloaded,
  };
}

function stateOf(certificate: Certificate | undefined, now: Date): string {
  if (certificate === undefined) return 'damaged';
  if (now < certificate.notBefore) return 'not-yet-valid';
  return now > certificate.notAfter ? 'expired' : 'valid';
}
