import { createHash } from 'node:crypto';
import type { Certificate } from '../../x509/certificate.ts';
import type { Method } from '../config/certificate-rule.ts';

/** The chains of the certificates that may be CAs of this device: an order that one has refused may succeed with another. */
export class IssuerChains {
  readonly #chains = new Map<string, readonly Certificate[]>();

  /** Notes the current chain of a certificate, the same list until it changes; returns whether it did. */
  note(id: string, chain: readonly Certificate[]): boolean {
    if (this.#chains.get(id) === chain) return false;
    this.#chains.set(id, chain);
    return true;
  }

  /** A digest of the chain of the issuer; `` when it is no CA of this device, or has no certificate. */
  digestOf({ method, issuer }: { readonly method: Method; readonly issuer: string }): string {
    const chain = method === 'local_ca' ? (this.#chains.get(issuer) ?? []) : [];
    if (chain.length === 0) return '';
    const fingerprints = chain.map(({ fingerprint }) => fingerprint).join('\n');
    return createHash('sha256').update(fingerprints).digest('hex');
  }
}
