import { open } from 'node:fs/promises';
import { ServiceError } from '../../errors.ts';
import { type Certificate, readCertificates } from '../../x509/certificate.ts';

/** A bundle of all public roots has a quarter of it. */
const maxBytes = 1 << 20;
/** A larger bundle is parsed in parts of this size. */
const maxPartBytes = 128 << 10;

interface Read {
  readonly bytes: Buffer;
  readonly certificates: readonly Certificate[];
}

/**
 * Certificates in files that the configuration names, PEM or DER. Files are read on each request, since certificates
 * are renewed and roots added, but parsed again only when they changed.
 */
export class NamedCertificates {
  readonly #read = new Map<string, Read>();

  /** The certificates of a file, at least one; rejects with a ServiceError that names the file. */
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

/** Splits a bundle into parts of whole blocks, each named by its first line. */
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
  if (!(await file.stat()).isFile())
    throw new ServiceError('InvalidArgs', `${path} is not a regular file`);
  // one byte more than allowed shows that a file is too large
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
  if (bytesRead > maxBytes) throw new ServiceError('InvalidArgs', `${path} is too large`);
  return Buffer.from(buffer.subarray(0, bytesRead));
}
