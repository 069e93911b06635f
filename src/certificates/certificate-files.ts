import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
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
 * Certificates in files. Any process may request them at any rate, so a file is parsed only when it changed, and
 * concurrent readers share one check.
 */
export class CertificateFiles {
  readonly #elapsedMs: () => number;
  readonly #cached = new Map<string, CachedFile>();
  readonly #pending = new Map<string, Promise<readonly Certificate[]>>();

  constructor(elapsedMs: () => number = () => performance.now()) {
    this.#elapsedMs = elapsedMs;
  }

  /** The current certificates of a file: the same list until the file changes. */
  read(path: string): Promise<readonly Certificate[]> {
    const joined = this.#pending.get(path);
    if (joined !== undefined) return joined;
    const reading = this.#check(path).finally(() => this.#pending.delete(path));
    this.#pending.set(path, reading);
    return reading;
  }

  async #check(path: string): Promise<readonly Certificate[]> {
    const cached = this.#cached.get(path);
    const identity = identityOf(await stat(path, { bigint: true }));
    const isSame = cached?.identity === identity;
    const hasSettled = isSame && this.#elapsedMs() - cached.firstSeenAt >= settleMs;
    const current =
      isSame && (cached.settled || !hasSettled)
        ? cached
        : await this.#read(path, cached, hasSettled);
    if ('failure' in current.outcome) throw current.outcome.failure;
    return current.outcome.certificates;
  }

  async #read(path: string, before: CachedFile | undefined, settled: boolean): Promise<CachedFile> {
    const { identity, bytes } = await contentOf(path);
    const isSame = before?.identity === identity;
    const firstSeenAt = isSame ? before.firstSeenAt : this.#elapsedMs();
    const cached = {
      identity,
      firstSeenAt,
      settled: isSame && settled,
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
