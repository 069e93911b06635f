import { readFile } from 'node:fs/promises';
import { ServiceError } from '../../../errors.ts';
import type { CertificateId } from '../../../ids.ts';
import { SharedReads } from '../../../service/shared-reads.ts';
import { encodeCertificatesPem, readCertificates } from '../../../x509/certificate.ts';
import type { Clients } from '../../clients.ts';
import type { CertificateReference } from '../../config/certificate-references.ts';
import type { HeldCall } from '../http/hold.ts';
import type { Outage } from './outage.ts';

/** The certificates that modules trust. */
export class TrustBundle {
  readonly #certificates: Clients['certificates'];
  readonly #outage: Outage;
  readonly #read: (path: string) => Promise<Buffer>;
  // one at a time for all modules, whose requests are not limited; not longer, so that each has the current one
  readonly #bundles = new SharedReads<string>({ sharedMs: 0 });
  readonly #files = new SharedReads<string>({ sharedMs: 0 });
  /** The last contents of the files, parsed: parsing all public roots takes long, and all modules wait for it. */
  readonly #parsed = new Map<string, { readonly content: Buffer; readonly pem: string }>();

  constructor(
    certificates: Clients['certificates'],
    outage: Outage,
    read: (path: string) => Promise<Buffer> = (path) => readFile(path),
  ) {
    this.#certificates = certificates;
    this.#outage = outage;
    this.#read = read;
  }

  /** The configured certificates, else those of the Certificates service. NotFound when there are none. */
  async read(trustedCas: readonly CertificateReference[], call: HeldCall): Promise<string> {
    if (trustedCas.length === 0) {
      const pem = await this.#fetch({}, call);
      // a client may interpret an empty bundle as trust in any certificate
      if (pem === '') throw new ServiceError('NotFound', 'there is no trust bundle');
      return pem;
    }
    const bundles = await Promise.all(
      trustedCas.map((reference) =>
        reference.kind === 'id'
          ? this.#fetch({ certificate_id: reference.id }, call)
          : this.#files.get(reference.path, () => this.#readFile(reference.path), call.signal),
      ),
    );
    const present = bundles.filter((pem) => pem.trim() !== '');
    if (present.length === 0) throw new ServiceError('NotFound', 'there is no trust bundle');
    return present.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('');
  }

  #fetch(options: { readonly certificate_id?: CertificateId }, call: HeldCall): Promise<string> {
    return this.#outage.call(call, ({ requestId, signal }) => {
      // requests that join a read share the call of the first one
      const read = async (reading: AbortSignal) => {
        const via = { requestId, signal: reading };
        return (await this.#certificates.GetTrustBundle({ options }, via)).pem;
      };
      return this.#bundles.get(options.certificate_id ?? '', read, signal);
    });
  }

  /** Only the certificates in a file. Unavailable, with its path, when one cannot be read. */
  async #readFile(path: string): Promise<string> {
    try {
      const content = await this.#read(path);
      const before = this.#parsed.get(path);
      if (before?.content.equals(content) === true) return before.pem;
      const pem = encodeCertificatesPem(readCertificates(content, JSON.stringify(path)));
      this.#parsed.set(path, { content, pem });
      return pem;
    } catch (cause) {
      throw new ServiceError('Unavailable', `cannot read ${JSON.stringify(path)}`, { cause });
    }
  }
}
