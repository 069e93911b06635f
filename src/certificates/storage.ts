/** Certificates that were handed in: one file per id with the chain and the id of the key, replaced as a whole. */
import { join } from 'node:path';
import { describeError } from '../errors.ts';
import {
  deleteStateFile,
  fileNameOf,
  idOfFileName,
  openStateDirectory,
  readStateJson,
  refuseUnusable,
  UnusableFile,
  writeStateJson,
} from '../service/state/state-file.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../x509/certificate.ts';
import type { Held } from './certificate-entry.ts';

const extension = '.json';

/** The files in one directory. A damaged one is held as damaged, and stays. */
export class Storage {
  readonly #directory: string;
  readonly #held = new Map<string, Held>();
  /** Ids whose file may be whole and could not be used when it was last read. */
  readonly #unusable = new Set<string>();
  #failure: UnusableFile | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Reads what is there, and removes what interrupted writes left. */
  static async open(directory: string): Promise<Storage> {
    const storage = new Storage(directory);
    await storage.#readAll();
    return storage;
  }

  /** Why the directory cannot be used, undefined when it can: what is in it is unknown. */
  get failure(): string | undefined {
    return this.#failure?.message;
  }

  /** A certificate, damaged or not; as long as the directory cannot be used every id may be in it, and is damaged. */
  get(id: string): Held | undefined {
    const held = this.#held.get(id);
    if (held !== undefined || this.#failure === undefined) return held;
    return { ...nothing(id), damage: this.#failure.message };
  }

  /** Unavailable as long as the directory cannot be used. */
  assertListed(): void {
    refuseUnusable(this.#failure);
  }

  /** Reads again what an administrator may have put right meanwhile. */
  async retry(): Promise<void> {
    if (this.#failure !== undefined) await this.#readAll();
    const again = [...this.#unusable];
    for (const id of again) await this.#read(id);
  }

  ids(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** Writes a certificate down; what was there under this id is replaced. */
  async put(
    id: string,
    chain: readonly Certificate[],
    { keyId, replaces }: { readonly keyId: string; readonly replaces: boolean },
  ): Promise<Held> {
    const record = { key_id: keyId, chain_pem: encodeCertificatesPem(chain) };
    await writeStateJson(this.#path(id), record, { evenUnreadable: replaces, evenNewer: replaces });
    const held = { id, chain, keyId, preloaded: false };
    this.#held.set(id, held);
    this.#unusable.delete(id);
    return held;
  }

  /** Removes a certificate. */
  async delete(id: string): Promise<void> {
    await deleteStateFile(this.#path(id), { evenUnreadable: true, evenNewer: true });
    this.#held.delete(id);
    this.#unusable.delete(id);
  }

  async #readAll(): Promise<void> {
    const { names, failure } = await openStateDirectory(this.#directory);
    for (const name of names) {
      const id = idOfFileName(name, extension);
      if (id !== undefined) await this.#read(id);
    }
    // last: until all are read, an id that is not known may be there
    this.#failure = failure;
  }

  async #read(id: string): Promise<void> {
    this.#unusable.delete(id);
    try {
      const record = await readStateJson(this.#path(id), parseRecord);
      if (record === undefined) this.#held.delete(id);
      else this.#held.set(id, { ...nothing(id), ...record });
    } catch (error) {
      if (error instanceof UnusableFile) this.#unusable.add(id);
      this.#held.set(id, { ...nothing(id), damage: describeError(error) });
    }
  }

  #path(id: string): string {
    return join(this.#directory, fileNameOf(id, extension));
  }
}

function nothing(id: string): Held {
  return { id, chain: [], keyId: '', preloaded: false };
}

function parseRecord(value: unknown): Pick<Held, 'chain' | 'keyId'> {
  const fields = new Map<string, unknown>(
    typeof value === 'object' && value !== null ? Object.entries(value) : [],
  );
  const [version, keyId, pem] = ['version', 'key_id', 'chain_pem'].map((name) => fields.get(name));
  if (version !== 1) throw new Error(`its version is ${JSON.stringify(version)}`);
  if (typeof keyId !== 'string' || typeof pem !== 'string') throw new Error('it lacks a field');
  return { keyId, chain: parseCertificatesPem(Buffer.from(pem), 'its chain') };
}
