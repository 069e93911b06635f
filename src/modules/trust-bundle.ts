import { readFile } from 'node:fs/promises';
import { ServiceError } from '../errors.ts';
import type { CertificateId } from '../ids.ts';
import { SharedReads } from '../service/shared-reads.ts';
import { encodeCertificatesPem, readCertificates } from '../x509/certificate.ts';
import type { HeldCall } from './api/hold.ts';
import type { Clients } from './clients.ts';
import type { CertificateReference } from './config.ts';
import type { Outage } from './outage.ts';

/** The certificates that modules trust. */
export class TrustBundle {
  readonly #certificates: Clients['certificates'];
  readonly #outage: Outage;
  // the same for every module, and each may ask as often as it likes
  readonly #bundles = new SharedReads<string>();

  constructor(certificates: Clients['certificates'], outage: Outage) {
    this.#certificates = certificates;
    this.#outage = outage;
  }

  /** What the configuration lists, or else what the Certificates service has; NotFound when that is nothing. */
  async read(trustedCas: readonly CertificateReference[], call: HeldCall): Promise<string> {
    if (trustedCas.length === 0) {
      const pem = await this.#ask({}, call);
      // Whoever gets an empty one may take it for a reason to trust everybody.
      if (pem === '') throw new ServiceError('NotFound', 'there is no trust bundle');
      return pem;
    }
    const bundles = await Promise.all(
      trustedCas.map((reference) =>
        reference.kind === 'id'
          ? this.#ask({ certificate_id: reference.id }, call)
          : readBundle(reference.path),
      ),
    );
    return bundles.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`)).join('');
  }

  #ask(options: { readonly certificate_id?: CertificateId }, call: HeldCall): Promise<string> {
    return this.#outage.call(call, ({ requestId, signal }) => {
      // who joins a read gets what the first request asked for
      const read = async (reading: AbortSignal) => {
        const via = { requestId, signal: reading };
        return (await this.#certificates.GetTrustBundle({ options }, via)).pem;
      };
      return this.#bundles.get(options.certificate_id ?? '', read, signal);
    });
  }
}

/** The certificates in a file, and nothing but them; Unavailable, with its path, when one cannot be read. */
async function readBundle(path: string): Promise<string> {
  try {
    return encodeCertificatesPem(readCertificates(await readFile(path), JSON.stringify(path)));
  } catch (cause) {
    throw new ServiceError('Unavailable', `cannot read ${JSON.stringify(path)}`, { cause });
  }
}
