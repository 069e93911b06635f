import { type KeyId, parseKeyId } from '../../ids.ts';
import { jsonRecords, RecordDirectory } from '../../service/state/record-directory.ts';
import { withVersion } from '../../service/state/state-file.ts';
import {
  isSymmetricAlgorithm,
  parsePairUsages,
  parseSymmetricUsages,
  type SymmetricAlgorithm,
  type Usage,
} from '../algorithm.ts';

/**
 * The properties of a created key that a token cannot store: when and how it was created, and its usages. The record
 * is persisted before the key is created, which distinguishes the leftovers of a crash from foreign keys.
 */
export interface TokenKeyRecord {
  readonly id: KeyId;
  /** The CKA_ID of its objects, which distinguishes them from others with the same label. */
  readonly ckaId: string;
  /** Undefined for a pair, whose algorithm the token stores. */
  readonly algorithm: SymmetricAlgorithm | undefined;
  readonly usages: readonly Usage[];
  readonly origin: 'generated' | 'imported';
  readonly exportDerived: boolean;
  readonly created: Date;
  /** The pending change, until the token holds only the new key. */
  readonly pending: Pending | undefined;
}

/** The key that a pending creation or import replaces, if there is one. */
export interface Pending {
  /** The CKA_ID of the replaced key. */
  readonly replaces: string | undefined;
  /** The record of the replaced key. */
  readonly previous: TokenKeyRecord | undefined;
}

/** The records of the keys that the service created in a token; keys without one are foreign. */
export type TokenKeyRecords = RecordDirectory<KeyId, TokenKeyRecord>;

const form = jsonRecords<KeyId, TokenKeyRecord>({
  parseId: parseKeyId,
  parse: parseRecord,
  format: toJson,
});

/** Opens the records of a directory. When it is unusable, every record counts as damaged. */
export function openTokenKeyRecords(directory: string): Promise<TokenKeyRecords> {
  return RecordDirectory.open(directory, form);
}

function toJson(record: TokenKeyRecord): object {
  return {
    id: record.id,
    cka_id: record.ckaId,
    algorithm: record.algorithm,
    usages: record.usages,
    origin: record.origin,
    export_derived: record.exportDerived,
    created: record.created.toISOString(),
    pending: record.pending && {
      replaces: record.pending.replaces,
      previous: record.pending.previous && withVersion(toJson(record.pending.previous)),
    },
  };
}

function parseRecord(value: unknown, id: KeyId): TokenKeyRecord {
  const entries = new Map(Object.entries(value ?? {}));
  const text = (name: string) => {
    const found: unknown = entries.get(name);
    if (typeof found !== 'string') throw new TypeError(`${name} is missing`);
    return found;
  };
  if (text('id') !== id) throw new TypeError('it is of another key');
  const origin = text('origin');
  if (origin !== 'generated' && origin !== 'imported') throw new TypeError('origin is not known');
  const created = new Date(text('created'));
  if (Number.isNaN(created.getTime())) throw new TypeError('created is not a time');
  const algorithm = entries.has('algorithm') ? text('algorithm') : undefined;
  if (algorithm !== undefined && !isSymmetricAlgorithm(algorithm)) {
    throw new TypeError('algorithm is not known');
  }
  return {
    id,
    ckaId: text('cka_id'),
    algorithm,
    usages: parseUsages(algorithm, entries.get('usages')),
    origin,
    exportDerived: entries.get('export_derived') === true,
    created,
    pending: entries.has('pending') ? parsePending(entries.get('pending'), id) : undefined,
  };
}

function parsePending(value: unknown, id: KeyId): Pending {
  const entries = new Map<string, unknown>(Object.entries(value ?? {}));
  const replaces = entries.get('replaces');
  return {
    replaces: typeof replaces === 'string' ? replaces : undefined,
    previous: entries.has('previous') ? parseRecord(entries.get('previous'), id) : undefined,
  };
}

function parseUsages(algorithm: SymmetricAlgorithm | undefined, value: unknown): readonly Usage[] {
  if (!Array.isArray(value)) throw new TypeError('usages are missing');
  const texts = value.map(String);
  return algorithm === undefined ? parsePairUsages(texts) : parseSymmetricUsages(algorithm, texts);
}
