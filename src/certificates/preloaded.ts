import { open } from 'node:fs/promises';
import { describeError, ServiceError } from '../errors.ts';
import { type Certificate, parseCertificate, parseCertificatesPem } from '../x509/certificate.ts';
import { orderChain } from '../x509/chain.ts';
import { looksLikePem } from '../x509/pem.ts';
import type { CertificatesConfig } from './config.ts';
import type { Held } from './held.ts';

const maxBytes = 256 << 10;
const maxDepth = 8;

/** The chain of an id that is not preloaded itself, or undefined. */
export type StoredChain = (id: string) => readonly Certificate[] | undefined;

/** The certificates that the configuration names. Their files are read whenever they are asked for. */
export class Preloaded {
  readonly #sources: ReadonlyMap<string, CertificatesConfig['preloaded'][string]>;
  readonly #stored: StoredChain;

  constructor(config: Pick<CertificatesConfig, 'preloaded'>, stored: StoredChain) {
    this.#sources = new Map(Object.entries(config.preloaded));
    this.#stored = stored;
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
      if (source.kind === 'file') parts.push(...(await readCertificates(source.path)));
      else parts.push(...(await this.#collect(source.id, depth + 1)));
    }
    return parts;
  }
}

async function readCertificates(path: string): Promise<readonly Certificate[]> {
  await using file = await open(path, 'r');
  // one byte more than allowed tells a file that is too large, and a device file cannot fill the memory
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  if (bytesRead > maxBytes) throw new ServiceError('InvalidArgs', `${path} is too large`);
  const bytes = buffer.subarray(0, bytesRead);
  if (bytes.length === 0) throw new ServiceError('InvalidArgs', `${path} is empty`);
  if (looksLikePem(bytes)) return parseCertificatesPem(bytes, path);
  return [parseCertificate(bytes, path)];
}
