import { describeError, ServiceError } from '../errors.ts';
import { type CertificateId, parseCertificateId } from '../ids.ts';
import type { Certificate } from '../x509/certificate.ts';
import { orderChain } from '../x509/chain.ts';
import { type CertificateEntry, isSameList } from './certificate-entry.ts';
import { CertificateFiles } from './certificate-files.ts';
import type { CertificatesConfig } from './config/config.ts';

const maxDepth = 8;

/** The chain of an id that is not preloaded itself, or undefined. */
export type StoredChain = (id: CertificateId) => readonly Certificate[] | undefined;

/** What was made of the parts of a certificate. */
interface Made {
  readonly parts: readonly (readonly Certificate[])[];
  readonly held: CertificateEntry;
}

/** The certificates that the configuration names, as their files are when they are asked for. */
export class Preloaded {
  readonly #sources: ReadonlyMap<CertificateId, CertificatesConfig['preloaded'][string]>;
  readonly #stored: StoredChain;
  readonly #files = new CertificateFiles();
  readonly #made = new Map<CertificateId, Made>();

  constructor(config: Pick<CertificatesConfig, 'preloaded'>, stored: StoredChain) {
    this.#sources = new Map(
      Object.entries(config.preloaded).map(([id, sources]) => [parseCertificateId(id), sources]),
    );
    this.#stored = stored;
  }

  has(id: CertificateId): boolean {
    return this.#sources.has(id);
  }

  ids(): readonly CertificateId[] {
    return [...this.#sources.keys()];
  }

  /** The certificates of an id as its files are now, the same object while they are the same; damaged when one cannot be read. */
  async read(id: CertificateId): Promise<CertificateEntry> {
    try {
      const parts = await this.#collect(id, 0);
      const before = this.#made.get(id);
      if (before !== undefined && isSameList(before.parts, parts)) return before.held;
      const held = this.#make(id, parts.flat());
      this.#made.set(id, { parts, held });
      return held;
    } catch (error) {
      return { id, keyId: '', preloaded: true, chain: [], damage: describeError(error) };
    }
  }

  #make(id: CertificateId, certificates: readonly Certificate[]): CertificateEntry {
    const different = new Map(certificates.map((one) => [one.fingerprint, one]));
    const unique = [...different.values()];
    const list = (this.#sources.get(id) ?? []).length > 1;
    const chain = list ? unique : (orderChain(unique) ?? unique);
    return { id, keyId: '', preloaded: true, chain };
  }

  async #collect(id: CertificateId, depth: number): Promise<(readonly Certificate[])[]> {
    if (depth > maxDepth) {
      throw new ServiceError('Unavailable', `${JSON.stringify(id)} leads to itself`);
    }
    const sources = this.#sources.get(id);
    if (sources === undefined) {
      const chain = this.#stored(id);
      if (chain === undefined) {
        throw new ServiceError('Unavailable', `no certificate ${JSON.stringify(id)}`);
      }
      return [chain];
    }
    const parts: (readonly Certificate[])[] = [];
    for (const source of sources) {
      if (source.kind === 'file') parts.push(await this.#files.read(source.path));
      else parts.push(...(await this.#collect(source.id, depth + 1)));
    }
    return parts;
  }
}
