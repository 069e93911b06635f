import { describeError, ServiceError } from '../errors.ts';
import type { Certificate } from '../x509/certificate.ts';
import { orderChain } from '../x509/chain.ts';
import { CertificateFile } from './certificate-file.ts';
import type { CertificatesConfig } from './config.ts';
import type { Held } from './held.ts';

const maxDepth = 8;

/** The chain of an id that is not preloaded itself, or undefined. */
export type StoredChain = (id: string) => readonly Certificate[] | undefined;

/** The certificates that the configuration names. Their files are read whenever they are asked for. */
export class Preloaded {
  readonly #sources: ReadonlyMap<string, CertificatesConfig['preloaded'][string]>;
  readonly #stored: StoredChain;
  readonly #files: ReadonlyMap<string, CertificateFile>;

  constructor(config: Pick<CertificatesConfig, 'preloaded'>, stored: StoredChain, now: () => Date) {
    this.#sources = new Map(Object.entries(config.preloaded));
    this.#stored = stored;
    const sources = [...this.#sources.values()].flat();
    const paths = sources.flatMap((source) => (source.kind === 'file' ? [source.path] : []));
    this.#files = new Map(paths.map((path) => [path, new CertificateFile(path, now)]));
  }

  has(id: string): boolean {
    return this.#sources.has(id);
  }

  ids(): readonly string[] {
    return [...this.#sources.keys()];
  }

  /** The certificates of an id as its files are now; damaged when one cannot be read. */
  async read(id: string): Promise<Held> {
    const base = { id, keyId: '', preloaded: true };
    try {
      const certificates = await this.#collect(id, 0);
      const different = new Map(certificates.map((one) => [one.fingerprint, one]));
      const unique = [...different.values()];
      const list = (this.#sources.get(id) ?? []).length > 1;
      return { ...base, chain: list ? unique : (orderChain(unique) ?? unique) };
    } catch (error) {
      return { ...base, chain: [], damage: describeError(error) };
    }
  }

  async #collect(id: string, depth: number): Promise<Certificate[]> {
    if (depth > maxDepth) {
      throw new ServiceError('Unavailable', `${JSON.stringify(id)} leads to itself`);
    }
    const sources = this.#sources.get(id);
    if (sources === undefined) {
      const chain = this.#stored(id);
      if (chain === undefined) {
        throw new ServiceError('Unavailable', `no certificate ${JSON.stringify(id)}`);
      }
      return [...chain];
    }
    const parts: Certificate[] = [];
    for (const source of sources) {
      if (source.kind === 'file')
        parts.push(...((await this.#files.get(source.path)?.read()) ?? []));
      else parts.push(...(await this.#collect(source.id, depth + 1)));
    }
    return parts;
  }
}
