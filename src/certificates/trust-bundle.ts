import { createHash } from 'node:crypto';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { ServiceError } from '../errors.ts';
import { type CertificateId, parseCertificateId } from '../ids.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import type { CertificateCatalog } from './catalog.ts';
import { isSameList } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';

/** A bundle and the chains that it was built from. */
interface CachedBundle {
  readonly chains: readonly (readonly Certificate[])[];
  readonly pem: string;
  readonly digest: string;
}

/** The roots that the device trusts: the configured certificates, else `trusted-ca`. */
export class TrustBundle {
  readonly #ids: readonly CertificateId[];
  readonly #catalog: CertificateCatalog;
  readonly #objects: ObjectManager<typeof certificatesService>;
  #cached: CachedBundle | undefined;
  /** Numbers of the last read that started and of the last that was published: an earlier read is outdated. */
  #reads = 0;
  #published = 0;

  constructor(
    { trust_bundle: ids }: Pick<CertificatesConfig, 'trust_bundle'>,
    catalog: CertificateCatalog,
    objects: ObjectManager<typeof certificatesService>,
  ) {
    this.#ids = ids.map(parseCertificateId);
    this.#catalog = catalog;
    this.#objects = objects;
  }

  /**
   * The certificates as PEM, without duplicates. A damaged or missing part is left out and reported in Health: modules
   * continue with the others. Unavailable or NotFound when there is no part at all.
   */
  pem(): Promise<string> {
    return this.#read(++this.#reads);
  }

  /** Publishes the digest of the current bundle. */
  async publish(): Promise<void> {
    const number = ++this.#reads;
    try {
      await this.#read(number);
    } catch {
      // GetTrustBundle reports which part is missing or damaged, and no digest is better than a wrong one
      if (this.#isLatest(number)) this.#show('');
    }
  }

  async #read(number: number): Promise<string> {
    const { chains, failures } = await this.#parts();
    const isLatest = this.#isLatest(number);
    // damaged parts are reported already
    const missing = failures.filter(({ code }) => code === 'NotFound');
    if (isLatest) {
      const problems = missing.map(({ message }) => `trust_bundle: ${message}`);
      this.#catalog.showProblems('trust bundle', problems);
    }
    const [failure] = failures;
    if (failure !== undefined && chains.length === 0) throw failure;
    const cached = this.#cached;
    const isCurrent = cached !== undefined && isSameList(cached.chains, chains);
    const bundle = isCurrent ? cached : bundleOf(chains);
    this.#cached = bundle;
    if (isLatest) this.#show(bundle.digest);
    return bundle.pem;
  }

  /** Whether no later read was published; if so, notes this one as published. */
  #isLatest(number: number): boolean {
    if (number < this.#published) return false;
    this.#published = number;
    return true;
  }

  #show(digest: string): void {
    const isOther = this.#objects.setProperties({ TrustBundleDigest: digest });
    if (isOther) this.#objects.emit('TrustBundleChanged', {});
  }

  async #parts(): Promise<{
    readonly chains: readonly (readonly Certificate[])[];
    readonly failures: readonly ServiceError[];
  }> {
    const chains: (readonly Certificate[])[] = [];
    const failures: ServiceError[] = [];
    for (const id of await this.#present()) {
      try {
        chains.push((await this.#catalog.require(id)).chain);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        failures.push(error);
      }
    }
    return { chains, failures };
  }

  async #present(): Promise<readonly CertificateId[]> {
    if (this.#ids.length > 0) return this.#ids;
    const fallback = parseCertificateId('trusted-ca');
    return (await this.#catalog.read(fallback)) === undefined ? [] : [fallback];
  }
}

function bundleOf(chains: CachedBundle['chains']): CachedBundle {
  const certificates = new Map(chains.flat().map((one) => [one.fingerprint, one]));
  const pem = encodeCertificatesPem([...certificates.values()]);
  return { chains, pem, digest: createHash('sha256').update(pem).digest('hex') };
}
