/**
 * A directory of state with one file for each id. All files are read when it is opened, and cached. A damaged file is
 * reported and left in place until its record is replaced or deleted.
 */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describeError } from '../../errors.ts';
import { fileNameOf, idOfFileName } from './file-name.ts';
import type { StateDisk } from './state-disk.ts';
import {
  DamagedFile,
  deleteStateFile,
  destroyStateFile,
  formatStateJson,
  openStateDirectory,
  parseStateJson,
  readStateFile,
  refuseUnusable,
  replaceStateFile,
  type StateChange,
  UnusableFile,
  writeStateFile,
} from './state-file.ts';

/** The file names of a directory and the format of its files. */
export interface RecordForm<Id extends string, T> {
  readonly extension: `.${string}`;
  /** The version that files are written in; by default the first. Earlier ones are read, too. */
  readonly version?: number | undefined;
  readonly parseId: (text: string) => Id;
  /** Parses the content of a file, which is wiped afterwards; throws `DamagedFile`. */
  readonly parse: (content: Buffer, file: { readonly path: string; readonly id: Id }) => T;
  /** The content for a record; absent where `putSecret` passes it. */
  readonly format?: (value: T) => string;
  /** Whether the files hold keys: a file that `putSecret` replaces, or that is deleted, is overwritten. */
  readonly isSecret?: boolean;
}

/** Conversion between JSON and a record; the version is added and checked elsewhere. */
export interface JsonForm<Id extends string, T> {
  readonly parseId: (text: string) => Id;
  /** Throws unless the value is a record of this id. */
  readonly parse: (value: unknown, id: Id) => T;
  readonly format: (value: T) => object;
  /** Whether files written before versions were introduced may exist. */
  readonly mayLackVersion?: boolean;
  /** The version that files are written in; by default the first. `parse` reads earlier ones, too. */
  readonly version?: number;
}

/** Options of replacing a record: what may be replaced, and where the new file goes. */
export interface RecordChange extends StateChange {
  /** Writes into reserved space when the disk is full; only for operations that free space. */
  readonly reserve?: Pick<StateDisk, 'write'> | undefined;
}

/** A record, or why the file of one is unusable. */
export type RecordEntry<T> =
  | { readonly value: T; readonly damage?: undefined }
  | { readonly value?: undefined; readonly damage: DamagedFile };

/** The form of directories with one JSON file for each id. */
export function jsonRecords<Id extends string, T>(form: JsonForm<Id, T>): RecordForm<Id, T> {
  const { parseId, parse, format, mayLackVersion = false, version: knownVersion } = form;
  return {
    extension: '.json',
    version: knownVersion,
    parseId,
    parse: (content, { path, id }) =>
      parseStateJson(path, content, {
        parse: (value) => parse(value, id),
        mayLackVersion,
        knownVersion,
      }),
    format: (value) => formatStateJson(format(value), knownVersion),
  };
}

/** The records of a directory, and the damage of those that are unusable. */
export class RecordDirectory<Id extends string, T> implements Disposable {
  readonly #path: string;
  readonly #form: RecordForm<Id, T>;
  readonly #entries = new Map<Id, RecordEntry<T>>();
  /** All files as last read. */
  readonly entries: ReadonlyMap<Id, RecordEntry<T>> = this.#entries;
  #failure: UnusableFile | undefined;

  private constructor(path: string, form: RecordForm<Id, T>) {
    this.#path = path;
    this.#form = form;
  }

  /** Reads all records, removes the leftovers of interrupted writes, and creates the directory when it is missing. */
  static async open<Id extends string, T>(
    path: string,
    form: RecordForm<Id, T>,
  ): Promise<RecordDirectory<Id, T>> {
    const directory = new RecordDirectory(path, form);
    await directory.#readAll();
    return directory;
  }

  /** Why the directory is unusable, undefined when it is usable; its records are then unknown. */
  get failure(): UnusableFile | undefined {
    return this.#failure;
  }

  /** Throws Unavailable when the directory cannot be used. */
  assertListed(): void {
    refuseUnusable(this.#failure);
  }

  /** The ids of all files, damaged or not. */
  ids(): readonly Id[] {
    return [...this.#entries.keys()];
  }

  /** All usable records. */
  values(): readonly T[] {
    return [...this.#entries.values()].flatMap(({ value }) => (value === undefined ? [] : [value]));
  }

  /** The record of an id, undefined when there is no usable one. */
  get(id: Id): T | undefined {
    return this.#entries.get(id)?.value;
  }

  /** Why the record of an id is unusable, undefined when it is usable or missing. */
  damage(id: Id): DamagedFile | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined ? this.#failure : entry.damage;
  }

  /** As `damage`, as text for messages. */
  reason(id: Id): string | undefined {
    const damage = this.#entries.get(id)?.damage;
    return damage === undefined ? this.damage(id)?.message : describeError(damage);
  }

  /** Every damaged file, by id. */
  get damaged(): ReadonlyMap<Id, DamagedFile> {
    const damaged = new Map<Id, DamagedFile>();
    for (const [id, { damage }] of this.#entries) if (damage !== undefined) damaged.set(id, damage);
    return damaged;
  }

  /** Reads again what an administrator may have repaired: the directory, and the unusable files of these ids. */
  async retry(ids: Iterable<Id> = this.ids()): Promise<void> {
    if (this.#failure !== undefined) await this.#readAll();
    for (const id of ids) {
      if (this.#entries.get(id)?.damage instanceof UnusableFile) await this.#read(id);
    }
  }

  /**
   * Checks all records, a bit at a time: one for which `check` throws is damaged from then on, until it is replaced.
   * Returns the ids of those.
   */
  async verify(check: (value: T) => void, signal: AbortSignal): Promise<readonly Id[]> {
    const damaged: Id[] = [];
    for (const id of this.ids()) {
      await setImmediate();
      if (signal.aborted) break;
      const value = this.get(id);
      if (value === undefined) continue; // damaged, or deleted meanwhile
      try {
        check(value);
      } catch (error) {
        const damage = new DamagedFile(this.#fileOf(id), describeError(error), { cause: error });
        this.#entries.set(id, { damage });
        damaged.push(id);
      }
    }
    return damaged;
  }

  /** Persists a record durably, replacing any earlier one. Unavailable when that fails or is refused. */
  async put(id: Id, value: T, change: RecordChange = {}): Promise<void> {
    const { reserve, ...replaced } = change;
    const { format, isSecret, version: knownVersion } = this.#form;
    if (format === undefined || isSecret === true) throw new TypeError('use putSecret');
    const content = format(value);
    const file = this.#fileOf(id);
    const options = { ...replaced, knownVersion };
    if (reserve !== undefined) await reserve.write(file, content, options);
    else await writeStateFile(file, content, options);
    this.#entries.set(id, { value });
  }

  /** As `put`, for content with a secret, which the caller wipes; parsed before it is written. */
  async putSecret(id: Id, content: Buffer): Promise<T> {
    const path = this.#fileOf(id);
    const value = this.#form.parse(content, { path, id });
    await replaceStateFile(path, content);
    this.#entries.set(id, { value });
    return value;
  }

  /** Removes a record durably; a missing one is not an error. Unavailable when that fails or is refused. */
  async delete(id: Id, change: StateChange = {}): Promise<void> {
    if (this.#form.isSecret === true) await destroyStateFile(this.#fileOf(id));
    else await deleteStateFile(this.#fileOf(id), { ...change, knownVersion: this.#form.version });
    this.#entries.delete(id);
  }

  /** Drops the records from memory; their files stay. */
  [Symbol.dispose](): void {
    this.#entries.clear();
  }

  async #readAll(): Promise<void> {
    const { names, failure } = await openStateDirectory(this.#path);
    for (const name of names) {
      const id = this.#idOf(name);
      if (id !== undefined && !this.#readNow(id, `${this.#path}/${name}`)) await this.#read(id);
    }
    // last: until all files are read, a missing id may still exist
    this.#failure = failure;
  }

  /** As `#read`, in a fraction of its time, which counts for thousands; returns false for a file that cannot be read. */
  #readNow(id: Id, path: string): boolean {
    const content = contentOf(path);
    if (content !== undefined) this.#note(id, path, content);
    return content !== undefined;
  }

  async #read(id: Id): Promise<void> {
    const path = this.#fileOf(id);
    try {
      const content = await readStateFile(path);
      if (content === undefined) this.#entries.delete(id);
      else this.#note(id, path, content);
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#entries.set(id, { damage: error });
    }
  }

  /** Parses the content of a file, and wipes it. */
  #note(id: Id, path: string, content: Buffer): void {
    try {
      this.#entries.set(id, { value: this.#form.parse(content, { path, id }) });
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#entries.set(id, { damage: error });
    } finally {
      content.fill(0);
    }
  }

  #idOf(name: string): Id | undefined {
    const text = idOfFileName(name, this.#form.extension);
    try {
      return text === undefined ? undefined : this.#form.parseId(text);
    } catch {
      return undefined; // the file of something else
    }
  }

  #fileOf(id: Id): string {
    return join(this.#path, fileNameOf(id, this.#form.extension));
  }
}

/** The content of a file, read synchronously; undefined when it cannot be read for any reason. */
function contentOf(path: string): Buffer | undefined {
  let file: number | undefined;
  try {
    // O_NONBLOCK: opening a FIFO would block the process
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    return readFileSync(file);
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
