import { rootCertificates } from 'node:tls';
import { describeError, ServiceError } from '../../../errors.ts';
import { readSystemRoots } from '../../../https/system-roots.ts';
import { type Certificate, encodeCertificatesPem } from '../../../x509/certificate.ts';
import { type TaughtAnchors, tlsAnchorsOf } from './anchors.ts';

/** Where the roots come from. */
export interface TlsRootsOptions {
  /** The name of the issuer. */
  readonly name: string;
  /** The files of `trusted_ca`. */
  readonly files: readonly string[];
  readonly readFile: (path: string) => Promise<readonly Certificate[]>;
  readonly taught: () => TaughtAnchors | undefined;
}

/** The roots with which the TLS certificate of an EST server is verified. */
export class TlsRoots {
  readonly #options: TlsRootsOptions;

  constructor(options: TlsRootsOptions) {
    this.#options = options;
  }

  /** PEM of `trusted_ca`, else of the system's roots, and of what the server has taught; Unavailable. */
  async read(now: Date): Promise<string> {
    const { files, taught } = this.#options;
    const configured =
      files.length > 0
        ? encodeCertificatesPem(await this.trusted())
        : ((await readSystemRoots()) ?? rootCertificates.join('\n'));
    const anchors = taught();
    const learned = anchors === undefined ? [] : tlsAnchorsOf(anchors, now);
    return `${configured.trimEnd()}\n${encodeCertificatesPem(learned)}`;
  }

  /** The certificates of `trusted_ca`; Unavailable when a file is unreadable. */
  async trusted(): Promise<readonly Certificate[]> {
    const { files, readFile, name } = this.#options;
    try {
      return (await Promise.all(files.map(readFile))).flat();
    } catch (error) {
      throw new ServiceError('Unavailable', `issuers.${name}.trusted_ca: ${describeError(error)}`);
    }
  }
}
