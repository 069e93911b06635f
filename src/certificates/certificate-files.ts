import { type BigIntStats, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { ServiceError } from '../errors.ts';
import { type Certificate, readCertificates } from '../x509/certificate.ts';

const maxBytes = 256 << 10;
/** Changes that are closer together than the resolution of file times are indistinguishable. */
const settleMs = 100;

/** The cached result of reading a file. */
interface CachedFile {
  readonly identity: string;
  readonly firstSeenAt: number;
  /** It was read again late enough that no later change can have the same times. */
  readonly settled: boolean;
  readonly outcome:
    | { readonly certificates: readonly Certificate[] }
    | { readonly failure: ServiceError };
}

/**
 * Certificates in files. Any process may request them at any rate, so a file is read only when it changed, and by one
 * for all concurrent readers. The check whether it has changed is synchronous: it is far shorter than a hop to a thread.
 */
export class CertificateFiles {
  readonly #elapsedMs: () => number;
  readonly #cached = new Map<string, CachedFile>();
  readonly #pending = new Map<string, Promise<CachedFile>>();

  constructor(elapsedMs: () => number = () => performance.now()) {
    this.#elapsedMs = elapsedMs;
  }

  /** The current certificates of a file: the same list until the file changes. */
  async read(path: string): Promise<readonly Certificate[]> {
    const { outcome } = this.#current(path) ?? (await this.#readOnce(path));
    if ('failure' in outcome) throw outcome.failure;
    return outcome.certificates;
  }

  /** What is cached, unless the file has changed or may have. */
  #current(path: string): CachedFile | undefined {
    const identity = identityOf(statSync(path, { bigint: true }));
    const cached = this.#cached.get(path);
    if (cached?.identity !== identity) return undefined;
    return cached.settled || !this.#hasSettled(cached) ? cached : undefined;
  }

  #hasSettled({ firstSeenAt }: CachedFile): boolean {
    return this.#elapsedMs() - firstSeenAt >= settleMs;
  }

  #readOnce(path: string): Promise<CachedFile> {
    const joined = this.#pending.get(path);
    if (joined !== undefined) return joined;
    const reading = this.#read(path).finally(() => this.#pending.delete(path));
    this.#pending.set(path, reading);
    return reading;
  }

  async #read(path: string): Promise<CachedFile> {
    const before = this.#cached.get(path);
    const hasSettled = before !== undefined && this.#hasSettled(before);
    const { identity, bytes } = await contentOf(path);
    const isSame = before?.identity === identity;
    const firstSeenAt = isSame ? before.firstSeenAt : this.#elapsedMs();
    const cached = {
      identity,
      firstSeenAt,
      settled: isSame && hasSettled,
      outcome: outcomeOf(bytes, path),
    };
    this.#cached.set(path, cached);
    return cached;
  }
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}

async function contentOf(path: string): Promise<{ identity: string; bytes: Buffer }> {
  await using file = await open(path, 'r');
  // before the content: a change meanwhile makes the next check read again
  const identity = identityOf(await file.stat({ bigint: true }));
  // one byte more than allowed shows that a file is too large, and a device file must not fill the memory
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  return { identity, bytes: buffer.subarray(0, bytesRead) };
}

function outcomeOf(bytes: Buffer, path: string): CachedFile['outcome'] {
  try {
    return { certificates: parse(bytes, path) };
  } catch (error) {
    if (error instanceof ServiceError) return { failure: error };
    throw error;
  }
}

function parse(bytes: Buffer, path: string): readonly Certificate[] {
  if (bytes.length > maxBytes) throw new ServiceError('InvalidArgs', `${path} is too large`);
  return readCertificates(bytes, path);
}
