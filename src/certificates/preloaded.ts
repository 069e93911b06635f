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

/** A cached entry and the parts that it was built from. */
interface CachedEntry {
  readonly parts: readonly (readonly Certificate[])[];
  readonly entry: CertificateEntry;
}

/** The certificates that the configuration names, read from their files on each request. */
export class Preloaded {
  readonly #sources: ReadonlyMap<CertificateId, CertificatesConfig['preloaded'][string]>;
  readonly #stored: StoredChain;
  readonly #files = new CertificateFiles();
  readonly #cached = new Map<CertificateId, CachedEntry>();

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

  /** The current entry of an id, the same object until a file changes; damaged when a part is unreadable. */
  async read(id: CertificateId): Promise<CertificateEntry> {
    try {
      const parts = await this.#collect(id, 0);
      const cached = this.#cached.get(id);
      if (cached !== undefined && isSameList(cached.parts, parts)) return cached.entry;
      const entry = this.#entryOf(id, parts.flat());
      this.#cached.set(id, { parts, entry });
      return entry;
    } catch (error) {
      return { id, keyId: '', preloaded: true, chain: [], damage: describeError(error) };
    }
  }

  #entryOf(id: CertificateId, certificates: readonly Certificate[]): CertificateEntry {
    const different = new Map(certificates.map((one) => [one.fingerprint, one]));
    const unique = [...different.values()];
    const list = (this.#sources.get(id) ?? []).length > 1;
    const chain = list ? unique : (orderChain(unique) ?? unique);
    return { id, keyId: '', preloaded: true, chain };
  }

  async #collect(id: CertificateId, depth: number): Promise<(readonly Certificate[])[]> {
    if (depth > maxDepth) {
      throw new ServiceError('Unavailable', `"${id}" leads to itself`);
    }
    const sources = this.#sources.get(id);
    if (sources === undefined) {
      const chain = this.#stored(id);
      if (chain === undefined) {
        throw new ServiceError('Unavailable', `no certificate "${id}"`);
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
