import type { Properties } from '../dbus/definition.ts';
import type { certificateInterface } from '../interfaces/certificates.ts';
import type { Certificate } from '../x509/certificate.ts';

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

/** From when until when a certificate is valid, as times are on the bus: microseconds since the epoch, 0 for none. */
export function validityOf(certificate: Certificate | undefined): {
  readonly notBefore: bigint;
  readonly notAfter: bigint;
} {
  if (certificate === undefined) return { notBefore: 0n, notAfter: 0n };
  const { notBefore, notAfter } = certificate;
  // the bus has no time before 1970: such a beginning is as good as none, and such an end must not look like none
  return { notBefore: microseconds(notBefore, 0n), notAfter: microseconds(notAfter, 1n) };
}

function microseconds(time: Date, least: bigint): bigint {
  const value = BigInt(time.getTime()) * 1000n;
  return value < least ? least : value;
}

/** What the object of a certificate shows. */
export function propertiesOf(
  held: Held,
  { now, keyId }: { readonly now: Date; readonly keyId: string },
): Properties<typeof certificateInterface> {
  const [certificate] = held.chain;
  const { notBefore, notAfter } = validityOf(certificate);
  return {
    CertificateId: held.id,
    KeyId: keyId,
    Subject: certificate?.subjectText ?? '',
    Issuer: certificate?.issuerText ?? '',
    SerialNumber: certificate?.serialNumber ?? '',
    NotBefore: notBefore,
    NotAfter: notAfter,
    SubjectAlternativeNames: certificate?.alternativeNames ?? [],
    Fingerprint: certificate?.fingerprint ?? '',
    Method: 'none',
    Profile: '',
    State: stateOf(certificate, now),
    // what is held was handed in, and is not renewed here
    RenewAt: 0n,
    NextAttempt: 0n,
    LastError: held.damage ?? '',
    Preloaded: held.preloaded,
  };
}

function stateOf(certificate: Certificate | undefined, now: Date) {
  if (certificate === undefined) return 'damaged';
  if (now < certificate.notBefore) return 'not-yet-valid';
  return now > certificate.notAfter ? 'expired' : 'valid';
}
