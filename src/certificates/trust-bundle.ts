import { createHash } from 'node:crypto';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import type { CertificatesConfig } from './config.ts';
import type { Holdings } from './holdings.ts';
import type { Publisher } from './publisher.ts';

/** The roots that the device believes: the configured certificates, else `trusted-ca`. */
export class TrustBundle {
  readonly #ids: readonly string[];
  readonly #holdings: Holdings;
  readonly #publisher: Publisher;

  constructor(
    { trust_bundle: ids }: Pick<CertificatesConfig, 'trust_bundle'>,
    holdings: Holdings,
    publisher: Publisher,
  ) {
    this.#ids = ids;
    this.#holdings = holdings;
    this.#publisher = publisher;
  }

  /** Its certificates, each once; Unavailable or NotFound when a part is damaged or missing. */
  async pem(): Promise<string> {
    const pem = await this.#collect();
    this.#publisher.trustBundle(digestOf(pem));
    return pem;
  }

  /** Shows the digest of the bundle as it is now. */
  async publish(): Promise<void> {
    try {
      await this.pem();
    } catch {
      // GetTrustBundle says which part is missing or damaged, and no digest is better than a wrong one
      this.#publisher.trustBundle('');
    }
  }

  async #collect(): Promise<string> {
    const certificates = new Map<string, Certificate>();
    for (const id of await this.#present()) {
      for (const one of (await this.#holdings.require(id)).chain) {
        certificates.set(one.fingerprint, one);
      }
    }
    return encodeCertificatesPem([...certificates.values()]);
  }

  async #present(): Promise<readonly string[]> {
    if (this.#ids.length > 0) return this.#ids;
    const fallback = 'trusted-ca';
    return (await this.#holdings.read(fallback)) === undefined ? [] : [fallback];
  }
}

function digestOf(pem: string): string {
  return createHash('sha256').update(pem).digest('hex');
}
