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
 * What a token cannot hold about a key that the service made: when, how, and whether it is a base key. It is
 * written before the key is made, so that what a crash leaves behind can be told from keys of others.
 */
export interface TokenKeyRecord {
  readonly id: KeyId;
  /** The CKA_ID of its objects, by which they are told from others of the same label. */
  readonly ckaId: string;
  /** `undefined` for a pair, whose algorithm the token knows. */
  readonly algorithm: SymmetricAlgorithm | undefined;
  readonly usages: readonly Usage[];
  readonly origin: 'generated' | 'imported';
  readonly exportDerived: boolean;
  readonly created: Date;
  /** What is under way, until the token holds the key alone. */
  readonly pending: Pending | undefined;
}

/** A key that is being put into the token: in the place of another one, or of none. */
export interface Pending {
  /** The CKA_ID of the key that goes. */
  readonly replaces: string | undefined;
  /** The record that the key which goes had. */
  readonly previous: TokenKeyRecord | undefined;
}

/** The records of the keys that the service made in a token; a key without one was made by others. */
export type TokenKeyRecords = RecordDirectory<KeyId, TokenKeyRecord>;

const form = jsonRecords<KeyId, TokenKeyRecord>({
  parseId: parseKeyId,
  parse: parseRecord,
  format: toJson,
});

/** Opens the records of a directory. When it cannot be used, every record is damaged. */
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
