import type { CertificateId } from '../../ids.ts';
import type { KeyedMutex } from '../../service/mutex.ts';
import type { CertificateEntry } from '../certificate-entry.ts';
import type { Storage } from '../storage.ts';

/** The parts of `Records`. */
export interface RecordsOptions {
  readonly storage: Storage;
  /** Serializes the changes of each record. */
  readonly changes: KeyedMutex<CertificateId>;
  /** Publishes a changed record; undefined when there is none any more. */
  readonly changed: (id: CertificateId, entry: CertificateEntry | undefined) => Promise<void>;
}

/** The records of certificates, each changed only as long as it is the one that the change was made from. */
export class Records {
  readonly #options: RecordsOptions;

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** The record of an id, also of a deleted certificate whose keys are left. */
  get(id: CertificateId): CertificateEntry | undefined {
    return this.#options.storage.record(id);
  }

  /** The ids of all records. */
  ids(): readonly CertificateId[] {
    return this.#options.storage.recordIds();
  }

  /** Replaces a record unless it was changed meanwhile; returns whether it did. */
  replace(before: CertificateEntry | undefined, next: CertificateEntry): Promise<boolean> {
    return this.change(next.id, (current) => (current === before ? next : undefined));
  }

  /** Changes a record as it is when no other change is in progress, unless there is no change; returns whether it did. */
  change(
    id: CertificateId,
    by: (current: CertificateEntry | undefined) => CertificateEntry | undefined,
  ): Promise<boolean> {
    const { changes, changed, storage } = this.#options;
    return changes.run(id, async () => {
      const next = by(storage.record(id));
      if (next === undefined) return false;
      const left = remainderOf(next);
      if (left === undefined) await storage.delete(id);
      else await storage.put(left, { replaces: false });
      await changed(id, storage.get(id));
      return true;
    });
  }
}

/** The record, without certificate and order only as long as keys are left to be deleted; undefined for nothing. */
export function remainderOf(entry: CertificateEntry): CertificateEntry | undefined {
  const { chain, enrolment } = entry;
  if (chain.length > 0 || enrolment === undefined) return entry;
  if (!enrolment.isDeleted && (enrolment.order ?? enrolment.successor) !== undefined) return entry;
  if (enrolment.ownKeys.length === 0) return undefined;
  return { ...entry, keyId: '', enrolment: { ...enrolment, previous: [], isDeleted: true } };
}
