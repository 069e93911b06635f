import { createHash } from 'node:crypto';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { ServiceError } from '../errors.ts';
import { type CertificateId, parseCertificateId } from '../ids.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import type { CertificateCatalog } from './catalog.ts';
import { isSameList } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';

/** The bundle that was made of these chains. */
interface Made {
  readonly chains: readonly (readonly Certificate[])[];
  readonly pem: string;
  readonly digest: string;
}

/** The roots that the device believes: the configured certificates, else `trusted-ca`. */
export class TrustBundle {
  readonly #ids: readonly CertificateId[];
  readonly #catalog: CertificateCatalog;
  readonly #objects: ObjectManager<typeof certificatesService>;
  #made: Made | undefined;
  /** How many readings of its parts began, and the latest that was published: one that it overtook is outdated. */
  #readings = 0;
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
   * Its certificates, each once. A part that is damaged or missing is left out, and named in Health: modules that
   * trust the others go on, and what is left out is not trusted. Unavailable or NotFound when no part is there.
   */
  pem(): Promise<string> {
    return this.#read(++this.#readings);
  }

  /** Shows the digest of the bundle as it is now. */
  async publish(): Promise<void> {
    const reading = ++this.#readings;
    try {
      await this.#read(reading);
    } catch {
      // GetTrustBundle says which part is missing or damaged, and no digest is better than a wrong one
      if (this.#isLatest(reading)) this.#show('');
    }
  }

  async #read(reading: number): Promise<string> {
    const { chains, failures } = await this.#parts();
    const isLatest = this.#isLatest(reading);
    // what is damaged is named already
    const missing = failures.filter(({ code }) => code === 'NotFound');
    if (isLatest) {
      this.#catalog.showProblems(missing.map(({ message }) => `trust_bundle: ${message}`));
    }
    const [failure] = failures;
    if (failure !== undefined && chains.length === 0) throw failure;
    const before = this.#made;
    const isKnown = before !== undefined && isSameList(before.chains, chains);
    const made = isKnown ? before : madeOf(chains);
    this.#made = made;
    if (isLatest) this.#show(made.digest);
    return made.pem;
  }

  /** Whether no reading that began later was published; this one is, then. */
  #isLatest(reading: number): boolean {
    if (reading < this.#published) return false;
    this.#published = reading;
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

function madeOf(chains: Made['chains']): Made {
  const certificates = new Map(chains.flat().map((one) => [one.fingerprint, one]));
  const pem = encodeCertificatesPem([...certificates.values()]);
  return { chains, pem, digest: createHash('sha256').update(pem).digest('hex') };
}
