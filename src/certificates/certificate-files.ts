import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { ServiceError } from '../errors.ts';
import { type Certificate, readCertificates } from '../x509/certificate.ts';

const maxBytes = 256 << 10;
/** Two changes that are closer together than the clock of a file system is fine look like one. */
const settleMs = 100;

/** What a file held when it was last read. */
interface Seen {
  readonly identity: string;
  readonly firstSeenAt: number;
  /** It was read again when no change could hide behind the same times. */
  readonly settled: boolean;
  readonly outcome:
    | { readonly certificates: readonly Certificate[] }
    | { readonly failure: ServiceError };
}

/**
 * Certificates in files, as the files are now. Anybody may ask for them at any rate, so a file is parsed only
 * when it changed, and concurrent readers share one look.
 */
export class CertificateFiles {
  readonly #elapsedMs: () => number;
  readonly #seen = new Map<string, Seen>();
  readonly #underWay = new Map<string, Promise<readonly Certificate[]>>();

  constructor(elapsedMs: () => number = () => performance.now()) {
    this.#elapsedMs = elapsedMs;
  }

  /** The certificates of a file: the same list for as long as the file does not change. */
  read(path: string): Promise<readonly Certificate[]> {
    const joined = this.#underWay.get(path);
    if (joined !== undefined) return joined;
    const reading = this.#look(path).finally(() => this.#underWay.delete(path));
    this.#underWay.set(path, reading);
    return reading;
  }

  async #look(path: string): Promise<readonly Certificate[]> {
    const seen = this.#seen.get(path);
    const identity = identityOf(await stat(path, { bigint: true }));
    const isSame = seen?.identity === identity;
    const hasSettled = isSame && this.#elapsedMs() - seen.firstSeenAt >= settleMs;
    const known =
      isSame && (seen.settled || !hasSettled) ? seen : await this.#read(path, seen, hasSettled);
    if ('failure' in known.outcome) throw known.outcome.failure;
    return known.outcome.certificates;
  }

  async #read(path: string, before: Seen | undefined, settled: boolean): Promise<Seen> {
    const { identity, bytes } = await contentOf(path);
    const isSame = before?.identity === identity;
    const firstSeenAt = isSame ? before.firstSeenAt : this.#elapsedMs();
    const seen = {
      identity,
      firstSeenAt,
      settled: isSame && settled,
      outcome: outcomeOf(bytes, path),
    };
    this.#seen.set(path, seen);
    return seen;
  }
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}

async function contentOf(path: string): Promise<{ identity: string; bytes: Buffer }> {
  await using file = await open(path, 'r');
  // before the content: a change meanwhile makes the next look read again
  const identity = identityOf(await file.stat({ bigint: true }));
  // one byte more than allowed shows that a file is too large, and a device file cannot fill the memory
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  return { identity, bytes: buffer.subarray(0, bytesRead) };
}

function outcomeOf(bytes: Buffer, path: string): Seen['outcome'] {
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
