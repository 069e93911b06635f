import type { Properties } from '../dbus/definition.ts';
import { healthOf } from '../dbus/server/health.ts';
import { DeferredValues } from '../dbus/server/properties.ts';
import { microseconds } from '../dbus/time.ts';
import type { certificateInterface, certificatesInterface } from '../interfaces/certificates.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { renewalDue } from './renewal/next-step.ts';
import { renewalFor } from './renewal/order-rule.ts';

/** The validity of a certificate as D-Bus properties; 0 without a certificate. */
export function validityOf(certificate: Certificate | undefined): {
  readonly notBefore: bigint;
  readonly notAfter: bigint;
} {
  if (certificate === undefined) return { notBefore: 0n, notAfter: 0n };
  const notBefore = microseconds(certificate.notBefore);
  const notAfter = microseconds(certificate.notAfter);
  // the bus has no time before 1970: such a beginning is sent as none, but such an end must differ from none
  return { notBefore: atLeast(0n, notBefore), notAfter: atLeast(1n, notAfter) };
}

/** What the properties of a certificate show besides its record. */
export interface CertificateView {
  readonly now: Date;
  readonly keyId: string;
  /** Undefined when it is not renewed here. */
  readonly renewAt: Date | undefined;
  /** The operation in progress, `` when there is none. */
  readonly operation: string;
  /** Why nothing is renewed although it may be due, `` when there is no reason. */
  readonly waitReason: string;
}

/** When a certificate is renewed here; undefined when it is not. */
export function renewalOfEntry(
  config: Pick<CertificatesConfig, 'certificates'>,
  { id, chain: [certificate], enrolment }: CertificateEntry,
  now: Date,
): Date | undefined {
  if (certificate === undefined || (enrolment?.method ?? 'none') === 'none') return undefined;
  const renewal = renewalFor(config, id);
  if (renewal === undefined) return undefined;
  const since = enrolment?.since ?? 0;
  return new Date(renewalDue(certificate, renewal, { since, now: now.getTime() }));
}

/** Why a certificate is not renewed any more; undefined as long as it is. */
export function stuckReasonOf({ enrolment }: CertificateEntry): string | undefined {
  return enrolment?.order?.isStuck === true ? enrolment.order.reason : undefined;
}

type CertificateProperties = Properties<typeof certificateInterface>;
/** Those that are parts of the certificate, which the fingerprint identifies. */
type Parts =
  | 'Subject'
  | 'Issuer'
  | 'SerialNumber'
  | 'NotBefore'
  | 'NotAfter'
  | 'SubjectAlternativeNames';

/** The values of org.iotedge.Certificates1.Certificate; those of its parts are read from it when they are needed. */
export function certificateProperties(
  entry: CertificateEntry,
  view: CertificateView,
): DeferredValues<CertificateProperties> {
  const [certificate] = entry.chain;
  const own = ownProperties(entry, view);
  return new DeferredValues(Object.values(own).join('\0'), () => {
    const { notBefore, notAfter } = validityOf(certificate);
    return {
      ...own,
      Subject: certificate?.subjectText ?? '',
      Issuer: certificate?.issuerText ?? '',
      SerialNumber: certificate?.serialNumber ?? '',
      NotBefore: notBefore,
      NotAfter: notAfter,
      SubjectAlternativeNames: certificate?.alternativeNames ?? [],
    };
  });
}

function ownProperties(
  entry: CertificateEntry,
  { now, keyId, renewAt, operation, waitReason }: CertificateView,
): Omit<CertificateProperties, Parts> {
  const { id, chain, damage, enrolment, preloaded } = entry;
  return {
    CertificateId: id,
    KeyId: keyId,
    Fingerprint: chain[0]?.fingerprint ?? '',
    Method: enrolment?.method ?? 'none',
    Profile: enrolment?.profile ?? '',
    State: stateOf(entry, now),
    RenewAt: microseconds(renewAt),
    LastAttempt: microseconds(lastAttemptOf(entry)),
    NextAttempt: microseconds(nextAttemptOf(entry)),
    LastError: damage ?? (waitReason || (enrolment?.order?.reason ?? '')),
    Operation: operation,
    Preloaded: preloaded,
  };
}

/** Health and LastError of org.iotedge.Certificates1. */
export function managerProperties(
  problems: readonly string[],
): Pick<Properties<typeof certificatesInterface>, 'Health' | 'LastError'> {
  return healthOf(problems);
}

function atLeast(least: bigint, value: bigint): bigint {
  return value < least ? least : value;
}

function stateOf(entry: CertificateEntry, now: Date) {
  const {
    chain: [certificate],
    damage,
    enrolment,
  } = entry;
  if (damage !== undefined) return 'damaged';
  if (stuckReasonOf(entry) !== undefined) return 'stuck';
  if (certificate === undefined) return enrolment === undefined ? 'damaged' : 'pending';
  if (now < certificate.notBefore) return 'not-yet-valid';
  if (now > certificate.notAfter) return 'expired';
  return enrolment?.order === undefined ? 'valid' : 'renewing';
}

/** When the last attempt ended: that of an order, else that of the current certificate; undefined when not known. */
function lastAttemptOf({ enrolment }: CertificateEntry): Date | undefined {
  const { order, since = 0 } = enrolment ?? {};
  const at = order !== undefined && order.attempts > 0 ? order.since : since;
  return at === 0 ? undefined : new Date(at);
}

/** When an order is submitted again after an attempt; undefined when it is not. */
function nextAttemptOf({ enrolment }: CertificateEntry): Date | undefined {
  const { order } = enrolment ?? {};
  if (order === undefined || order.nextAttempt === 0 || order.attempts === 0) return undefined;
  return new Date(order.nextAttempt);
}
