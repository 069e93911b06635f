import type { CertificateId } from '../ids.ts';
import type { Certificate } from '../x509/certificate.ts';
import type { Enrolment } from './renewal/enrolment.ts';

/** A certificate of the service with its chain, or a damaged one. */
export interface CertificateEntry {
  readonly id: CertificateId;
  /** Leaf first, or a bundle; empty when damaged, and until a first certificate is issued. */
  readonly chain: readonly Certificate[];
  /** The stored or configured key, `` without either. */
  readonly keyId: string;
  readonly preloaded: boolean;
  /** How it is issued and renewed; undefined when it is not issued here. */
  readonly enrolment?: Enrolment | undefined;
  /** Why the certificate is unusable; undefined when it is not damaged. */
  readonly damage?: string | undefined;
}

/** Whether two lists have identical elements. */
export function isSameList<T>(before: readonly T[], now: readonly T[]): boolean {
  return before.length === now.length && before.every((one, at) => one === now[at]);
}
