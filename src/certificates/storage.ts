/** Certificates that were handed in: one file per id with the chain and the id of the key, replaced as a whole. */
import { type CertificateId, parseCertificateId } from '../ids.ts';
import { jsonRecords, RecordDirectory } from '../service/state/record-directory.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../x509/certificate.ts';
import type { CertificateEntry } from './certificate-entry.ts';

const form = jsonRecords<CertificateId, CertificateEntry>({
  parseId: parseCertificateId,
  parse: parseRecord,
  format: ({ keyId, chain }) => ({ key_id: keyId, chain_pem: encodeCertificatesPem(chain) }),
});

/** The files in one directory. A damaged one is held as damaged, and stays. */
export class Storage {
  readonly #records: RecordDirectory<CertificateId, CertificateEntry>;

  private constructor(records: RecordDirectory<CertificateId, CertificateEntry>) {
    this.#records = records;
  }

  /** Reads what is there, and removes what interrupted writes left. */
  static async open(directory: string): Promise<Storage> {
    return new Storage(await RecordDirectory.open(directory, form));
  }

  /** Why the directory cannot be used, undefined when it can: what is in it is unknown. */
  get failure(): string | undefined {
    return this.#records.failure?.message;
  }

  /** A certificate, damaged or not; as long as the directory cannot be used every id may be in it, and is damaged. */
  get(id: CertificateId): CertificateEntry | undefined {
    const damage = this.#records.reason(id);
    if (damage === undefined) return this.#records.get(id);
    return { id, chain: [], keyId: '', preloaded: false, damage };
  }

  /** Unavailable as long as the directory cannot be used. */
  assertListed(): void {
    this.#records.assertListed();
  }

  /** Reads again what an administrator may have put right meanwhile. */
  retry(): Promise<void> {
    return this.#records.retry();
  }

  ids(): readonly CertificateId[] {
    return this.#records.ids();
  }

  /** Persists a certificate; what was there under this id is replaced. */
  async put(
    id: CertificateId,
    chain: readonly Certificate[],
    { keyId, replaces }: { readonly keyId: string; readonly replaces: boolean },
  ): Promise<CertificateEntry> {
    const held = { id, chain, keyId, preloaded: false };
    await this.#records.put(id, held, { evenUnreadable: replaces, evenNewer: replaces });
    return held;
  }

  /** Removes a certificate. */
  delete(id: CertificateId): Promise<void> {
    return this.#records.delete(id, { evenUnreadable: true, evenNewer: true });
  }
}

function parseRecord(value: unknown, id: CertificateId): CertificateEntry {
  const fields = new Map<string, unknown>(Object.entries(value ?? {}));
  const [keyId, pem] = ['key_id', 'chain_pem'].map((name) => fields.get(name));
  if (typeof keyId !== 'string' || typeof pem !== 'string') throw new Error('it lacks a field');
  const chain = parseCertificatesPem(Buffer.from(pem), 'its chain');
  return { id, chain, keyId, preloaded: false };
}
