/** The certificates of the service that are not preloaded: one file per id, replaced atomically. */
import { type CertificateId, parseCertificateId } from '../ids.ts';
import { jsonRecords, RecordDirectory } from '../service/state/record-directory.ts';
import type { StateDisk } from '../service/state/state-disk.ts';
import { encodeCertificatesPem, parseCertificate } from '../x509/certificate.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import {
  chainIn,
  fieldsOf,
  formatEnrolment,
  parseEnrolment,
  textIn,
} from './renewal/enrolment-json.ts';

const form = jsonRecords<CertificateId, CertificateEntry>({
  parseId: parseCertificateId,
  parse: parseRecord,
  format: ({ keyId, chain, enrolment }) => ({
    key_id: keyId,
    chain_pem: encodeCertificatesPem(chain),
    ...(enrolment && formatEnrolment(enrolment)),
  }),
  version: 2,
});

/** The files in one directory. A damaged file is reported as damaged, and not removed. */
export class Storage {
  readonly #records: RecordDirectory<CertificateId, CertificateEntry>;
  readonly #disk: Pick<StateDisk, 'write'> | undefined;

  private constructor(
    records: RecordDirectory<CertificateId, CertificateEntry>,
    disk: Pick<StateDisk, 'write'> | undefined,
  ) {
    this.#records = records;
    this.#disk = disk;
  }

  /**
   * Reads all files, and removes the leftovers of interrupted writes. Deletions are persisted even when the disk is
   * full, where it has reserved space.
   */
  static async open(directory: string, disk?: Pick<StateDisk, 'write'>): Promise<Storage> {
    return new Storage(await RecordDirectory.open(directory, form), disk);
  }

  /** Why the directory is unreadable, so that its content is unknown; undefined when it is readable. */
  get failure(): string | undefined {
    return this.#records.failure?.message;
  }

  /** A certificate, damaged or not; while the directory is unreadable every id may exist, and counts as damaged. */
  get(id: CertificateId): CertificateEntry | undefined {
    const record = this.record(id);
    return record?.enrolment?.isDeleted === true ? undefined : record;
  }

  /** As `get`, also for a deleted certificate whose keys are left to be deleted. */
  record(id: CertificateId): CertificateEntry | undefined {
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

  /**
   * Parses all certificates completely, which takes too long for a start: at that only what is shown of them is read.
   * Returns the ids of the records that turn out to be damaged.
   */
  verify(signal: AbortSignal): Promise<readonly CertificateId[]> {
    return this.#records.verify(verifyRecord, signal);
  }

  /** The ids of all certificates. */
  ids(): readonly CertificateId[] {
    return this.recordIds().filter((id) => this.get(id) !== undefined);
  }

  /** As `ids`, also of deleted certificates whose keys are left to be deleted. */
  recordIds(): readonly CertificateId[] {
    return this.#records.ids();
  }

  /** Persists a certificate, or replaces the one of the same id. */
  async put(
    entry: CertificateEntry,
    { replaces }: { readonly replaces: boolean },
  ): Promise<CertificateEntry> {
    const reserve = entry.enrolment?.isDeleted === true ? this.#disk : undefined;
    const change = { evenUnreadable: replaces, evenNewer: replaces, reserve };
    await this.#records.put(entry.id, entry, change);
    return entry;
  }

  /** Removes a certificate. */
  delete(id: CertificateId): Promise<void> {
    return this.#records.delete(id, { evenUnreadable: true, evenNewer: true });
  }
}

/** Throws unless all certificates of a record are whole; what is parsed is not retained. */
function verifyRecord({ chain, enrolment }: CertificateEntry): void {
  const { successor, previous = [] } = enrolment ?? {};
  const chains = [chain, successor?.chain ?? [], ...previous.map((former) => former.chain)];
  for (const { der } of chains.flat()) parseCertificate(der, 'its chain');
}

function parseRecord(value: unknown, id: CertificateId): CertificateEntry {
  const fields = fieldsOf(value);
  const keyId = textIn(fields, 'key_id');
  const enrolment = parseEnrolment(fields);
  const chain = chainIn(fields, { mayBeEmpty: enrolment !== undefined });
  return { id, chain, keyId, preloaded: false, enrolment };
}
