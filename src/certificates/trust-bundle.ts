import { createHash } from 'node:crypto';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import type { CertificatesConfig } from './config.ts';
import { isSameList } from './held.ts';
import type { Holdings } from './holdings.ts';
import type { Publisher } from './publisher.ts';

/** The bundle that was made of these chains. */
interface Made {
  readonly chains: readonly (readonly Certificate[])[];
  readonly pem: string;
  readonly digest: string;
}

/** The roots that the device believes: the configured certificates, else `trusted-ca`. */
export class TrustBundle {
  readonly #ids: readonly string[];
  readonly #holdings: Holdings;
  readonly #publisher: Publisher;
  #made: Made | undefined;

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
    const chains: (readonly Certificate[])[] = [];
    for (const id of await this.#present()) chains.push((await this.#holdings.require(id)).chain);
    const before = this.#made;
    const isKnown = before !== undefined && isSameList(before.chains, chains);
    const made = isKnown ? before : madeOf(chains);
    this.#made = made;
    this.#publisher.trustBundle(made.digest);
    return made.pem;
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

  async #present(): Promise<readonly string[]> {
    if (this.#ids.length > 0) return this.#ids;
    const fallback = 'trusted-ca';
    return (await this.#holdings.read(fallback)) === undefined ? [] : [fallback];
  }
}

function madeOf(chains: Made['chains']): Made {
  const certificates = new Map(chains.flat().map((one) => [one.fingerprint, one]));
  const pem = encodeCertificatesPem([...certificates.values()]);
  return { chains, pem, digest: createHash('sha256').update(pem).digest('hex') };
}
