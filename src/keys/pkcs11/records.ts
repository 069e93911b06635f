import { join } from 'node:path';
import { type KeyId, parseKeyId } from '../../ids.ts';
import {
  DamagedFile,
  deleteStateFile,
  fileNameOf,
  idOfFileName,
  openStateDirectory,
  readStateJson,
  refuseUnusable,
  type UnusableFile,
  writeStateJson,
} from '../../service/state/state-file.ts';
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

const EXTENSION = '.json';

/** The records of the keys that the service made in a token, all of them in memory. */
export class TokenKeyRecords {
  readonly #directory: string;
  readonly #records = new Map<KeyId, TokenKeyRecord>();
  readonly #damaged = new Map<KeyId, DamagedFile>();
  /** Why the directory cannot be used: what the records say is unknown. */
  readonly #failure: UnusableFile | undefined;

  private constructor(directory: string, failure: UnusableFile | undefined) {
    this.#directory = directory;
    this.#failure = failure;
  }

  /** Reads the records of a directory, which is made when it is missing. When it cannot be used, every record is damaged. */
  static async open(directory: string): Promise<TokenKeyRecords> {
    const { names, failure } = await openStateDirectory(directory);
    const records = new TokenKeyRecords(directory, failure);
    for (const name of names) {
      const id = idOfFileName(name, EXTENSION);
      if (id !== undefined) await records.#load(parseKeyId(id), join(directory, name));
    }
    return records;
  }

  /** The record of a key, `undefined` for a key that others made. */
  get(id: KeyId): TokenKeyRecord | undefined {
    return this.#records.get(id);
  }

  /** Why the record of a key cannot be read, `undefined` when it can or there is none. */
  damage(id: KeyId): DamagedFile | undefined {
    return this.#damaged.get(id) ?? this.#failure;
  }

  /** Every key whose record cannot be read, and why. */
  allDamaged(): ReadonlyMap<KeyId, DamagedFile> {
    return this.#damaged;
  }

  /** All records. */
  all(): readonly TokenKeyRecord[] {
    return [...this.#records.values()];
  }

  /** Writes a record, over the one that the key had. */
  async put(record: TokenKeyRecord): Promise<void> {
    refuseUnusable(this.damage(record.id));
    await writeStateJson(this.#path(record.id), toJson(record));
    this.#records.set(record.id, record);
    this.#damaged.delete(record.id);
  }

  /** Removes the record of a key. */
  async remove(id: KeyId): Promise<void> {
    refuseUnusable(this.damage(id));
    await deleteStateFile(this.#path(id));
    this.#records.delete(id);
    this.#damaged.delete(id);
  }

  async #load(id: KeyId, path: string): Promise<void> {
    try {
      const record = await readStateJson(path, (value) => fromJson(id, value));
      if (record !== undefined) this.#records.set(id, record);
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#damaged.set(id, error);
    }
  }

  #path(id: KeyId): string {
    return join(this.#directory, fileNameOf(id, EXTENSION));
  }
}

function toJson(record: TokenKeyRecord): object {
  return {
    version: 1,
    id: record.id,
    cka_id: record.ckaId,
    algorithm: record.algorithm,
    usages: record.usages,
    origin: record.origin,
    export_derived: record.exportDerived,
    created: record.created.toISOString(),
    pending: record.pending && {
      replaces: record.pending.replaces,
      previous: record.pending.previous && toJson(record.pending.previous),
    },
  };
}

function fromJson(id: KeyId, value: unknown): TokenKeyRecord {
  const entries = new Map(Object.entries(value ?? {}));
  const text = (name: string) => {
    const found: unknown = entries.get(name);
    if (typeof found !== 'string') throw new TypeError(`${name} is missing`);
    return found;
  };
  if (entries.get('version') !== 1) throw new TypeError('its version is not known');
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
    pending: entries.has('pending') ? parsePending(id, entries.get('pending')) : undefined,
  };
}

function parsePending(id: KeyId, value: unknown): Pending {
  const entries = new Map<string, unknown>(Object.entries(value ?? {}));
  const replaces = entries.get('replaces');
  return {
    replaces: typeof replaces === 'string' ? replaces : undefined,
    previous: entries.has('previous') ? fromJson(id, entries.get('previous')) : undefined,
  };
}

function parseUsages(algorithm: SymmetricAlgorithm | undefined, value: unknown): readonly Usage[] {
  if (!Array.isArray(value)) throw new TypeError('usages are missing');
  const texts = value.map(String);
  return algorithm === undefined ? parsePairUsages(texts) : parseSymmetricUsages(algorithm, texts);
}
