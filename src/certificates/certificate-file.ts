import { type FileHandle, open } from 'node:fs/promises';
import { ServiceError } from '../errors.ts';
import { type Certificate, parseCertificate, parseCertificatesPem } from '../x509/certificate.ts';
import { looksLikePem } from '../x509/pem.ts';

const maxBytes = 256 << 10;
// two writes within one tick of the kernel's clock may leave the same times
const settledMs = 1_000;

type Parsed = { readonly certificates: readonly Certificate[] } | { readonly error: unknown };

/**
 * A file with certificates, read whenever it is asked for and parsed when it has changed: anybody may ask, and
 * a bundle takes fifty milliseconds to parse.
 */
export class CertificateFile {
  readonly #path: string;
  readonly #now: () => Date;
  #last: { readonly version: string; readonly parsed: Parsed } | undefined;

  constructor(path: string, now: () => Date) {
    this.#path = path;
    this.#now = now;
  }

  /** Its certificates as they are now; throws what is wrong with the file. */
  async read(): Promise<readonly Certificate[]> {
    await using file = await open(this.#path, 'r');
    const { dev, ino, size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
    const version = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
    const known = this.#last?.version === version ? this.#last.parsed : undefined;
    const parsed = known ?? (await this.#parse(file));
    const ageMs = this.#now().getTime() - Number(ctimeNs / 1_000_000n);
    this.#last = ageMs >= settledMs ? { version, parsed } : undefined;
    if ('error' in parsed) throw parsed.error;
    return parsed.certificates;
  }

  async #parse(file: FileHandle): Promise<Parsed> {
    const path = this.#path;
    // one byte more than allowed tells a file that is too large, and a device file cannot fill the memory
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    const bytes = buffer.subarray(0, bytesRead);
    try {
      if (bytesRead > maxBytes) throw new ServiceError('InvalidArgs', `${path} is too large`);
      if (bytes.length === 0) throw new ServiceError('InvalidArgs', `${path} is empty`);
      const isPem = looksLikePem(bytes);
      return {
        certificates: isPem ? parseCertificatesPem(bytes, path) : [parseCertificate(bytes, path)],
      };
    } catch (error) {
      return { error };
    }
  }
}
