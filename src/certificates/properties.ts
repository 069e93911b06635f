import type { Properties } from '../dbus/definition.ts';
import { healthOf } from '../dbus/server/health.ts';
import { microseconds } from '../dbus/time.ts';
import type { certificateInterface, certificatesInterface } from '../interfaces/certificates.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { CertificateEntry } from './certificate-entry.ts';

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

/** The values of org.iotedge.Certificates1.Certificate. */
export function certificateProperties(
  entry: CertificateEntry,
  { now, keyId }: { readonly now: Date; readonly keyId: string },
): Properties<typeof certificateInterface> {
  const [certificate] = entry.chain;
  const { notBefore, notAfter } = validityOf(certificate);
  return {
    CertificateId: entry.id,
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
    // imported certificates are not renewed here
    RenewAt: 0n,
    NextAttempt: 0n,
    LastError: entry.damage ?? '',
    Preloaded: entry.preloaded,
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

function stateOf(certificate: Certificate | undefined, now: Date) {
  if (certificate === undefined) return 'damaged';
  if (now < certificate.notBefore) return 'not-yet-valid';
  return now > certificate.notAfter ? 'expired' : 'valid';
}
