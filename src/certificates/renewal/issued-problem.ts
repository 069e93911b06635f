import { ServiceError } from '../../errors.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { PendingOrder } from './enrolment.ts';

/** What a certificate was issued for. */
export interface IssuedFor {
  readonly entry: CertificateEntry;
  readonly order: PendingOrder;
  readonly spki: Buffer;
  readonly now: Date;
}

/** Why an issued certificate cannot become the current one. */
export function problemOf(
  issued: Certificate | undefined,
  { entry, order, spki, now }: IssuedFor,
): ServiceError | undefined {
  const name = `the new certificate "${entry.id}"`;
  if (issued === undefined || !issued.spki.equals(spki)) {
    return new ServiceError('Unavailable', `${name} is for another key`);
  }
  if (issued.notAfter <= now) {
    return new ServiceError('Unavailable', `${name} expired at ${issued.notAfter.toISOString()}`);
  }
  const present = entry.enrolment?.method === 'none' ? undefined : entry.chain[0];
  const gain = present && issued.notAfter.getTime() - present.notAfter.getTime();
  if (gain === undefined || gain > 0 || (gain === 0 && order.isRequested)) return undefined;
  const end = issued.notAfter.toISOString();
  const text = `${name} would live until ${end}, no longer than the present one: see the certificate of its issuer, and the lifetime in its rule`;
  return new ServiceError('NotSupported', text);
}
