import type { CertificateId } from '../ids.ts';
import type { Certificate } from '../x509/certificate.ts';

/** A certificate that the service holds, with its chain, or what is known about one that is damaged. */
export interface CertificateEntry {
  readonly id: CertificateId;
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
