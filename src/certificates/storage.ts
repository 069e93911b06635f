/** Imported certificates: one file per id with the chain and the id of the key, replaced atomically. */
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

/** The files in one directory. A damaged file is reported as damaged, and not removed. */
export class Storage {
  readonly #records: RecordDirectory<CertificateId, CertificateEntry>;

  private constructor(records: RecordDirectory<CertificateId, CertificateEntry>) {
    this.#records = records;
  }

  /** Reads all files, and removes the leftovers of interrupted writes. */
  static async open(directory: string): Promise<Storage> {
    return new Storage(await RecordDirectory.open(directory, form));
  }

  /** Why the directory is unreadable, so that its content is unknown; undefined when it is readable. */
  get failure(): string | undefined {
    return this.#records.failure?.message;
  }

  /** A certificate, damaged or not; while the directory is unreadable every id may exist, and counts as damaged. */
  get(id: CertificateId): CertificateEntry | undefined {
    const damage = this.#records.reason(id);
    if (damage === undefined) return this.#records.get(id);
    return { id, chain: [], keyId: '', preloaded: false, damage };
  }

  /** Throws Unavailable while the directory is unreadable. */
  assertListed(): void {
    this.#records.assertListed();
  }

  /** Reads again files that an administrator may have repaired. */
  retry(): Promise<void> {
    return this.#records.retry();
  }

  ids(): readonly CertificateId[] {
    return this.#records.ids();
  }

  /** Persists a certificate, or replaces the one of the same id. */
  async put(
    id: CertificateId,
    chain: readonly Certificate[],
    { keyId, replaces }: { readonly keyId: string; readonly replaces: boolean },
  ): Promise<CertificateEntry> {
    const entry = { id, chain, keyId, preloaded: false };
    await this.#records.put(id, entry, { evenUnreadable: replaces, evenNewer: replaces });
    return entry;
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
