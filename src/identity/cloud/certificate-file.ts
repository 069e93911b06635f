import { open } from 'node:fs/promises';
import { ServiceError } from '../../errors.ts';
import { type Certificate, readCertificates } from '../../x509/certificate.ts';

/** A bundle of all public roots has a quarter of it. */
const maxBytes = 1 << 20;
/** So much of a bundle is read at once. */
const maxPartBytes = 128 << 10;

interface Read {
  readonly bytes: Buffer;
  readonly certificates: readonly Certificate[];
}

/**
 * Certificates in files that the configuration names, PEM or DER, as the files are now: they are renewed, and a root may
 * come later. What has not changed is not parsed again.
 */
export class NamedCertificates {
  readonly #read = new Map<string, Read>();

  /** At least one; rejects with what is wrong with the file, which is named. */
  async read(path: string): Promise<readonly Certificate[]> {
    const bytes = await contentOf(path);
    const before = this.#read.get(path);
    if (before?.bytes.equals(bytes) === true) return before.certificates;
    const certificates = partsOf(bytes, path).flatMap((part) =>
      readCertificates(part.bytes, part.name),
    );
    this.#read.set(path, { bytes, certificates });
    return certificates;
  }
}

/** A bundle in parts, each of which ends where a block does, and names the line where it begins. */
function partsOf(
  bytes: Buffer,
  path: string,
): readonly { readonly bytes: Buffer; readonly name: string }[] {
  if (bytes.length <= maxPartBytes) return [{ bytes, name: path }];
  const parts: { bytes: Buffer; name: string }[] = [];
  let line = 1;
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf('-----END ', Math.min(from + maxPartBytes, bytes.length));
    const feed = end < 0 ? -1 : bytes.indexOf(0x0a, end);
    const isLast = feed < 0 || !bytes.includes('-----BEGIN ', feed);
    const part = bytes.subarray(from, isLast ? bytes.length : feed + 1);
    parts.push({ bytes: part, name: line === 1 ? path : `${path} from line ${line} on` });
    line += part.filter((byte) => byte === 0x0a).length;
    from += part.length;
  }
  return parts;
}

async function contentOf(path: string): Promise<Buffer> {
  await using file = await open(path, 'r');
  if (!(await file.stat()).isFile()) throw new ServiceError('InvalidArgs', `${path} is no file`);
  // one byte more than allowed shows that a file is too large
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  if (bytesRead > maxBytes) throw new ServiceError('InvalidArgs', `${path} is too large`);
  return Buffer.from(buffer.subarray(0, bytesRead));
}
