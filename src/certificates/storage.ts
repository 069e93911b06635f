/** Certificates that were handed in: one file per id with the chain and the id of the key, replaced as a whole. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../errors.ts';
import {
  deleteStateFile,
  fileNameOf,
  idOfFileName,
  makeStateDirectory,
  readStateJson,
  removeLeftovers,
  writeStateFile,
} from '../service/state-file.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../x509/certificate.ts';
import type { Held } from './held.ts';

const extension = '.json';

/** The files in one directory. A damaged one is held as damaged, and stays. */
export class Storage {
  readonly #directory: string;
  readonly #held: Map<string, Held>;

  private constructor(directory: string, held: Map<string, Held>) {
    this.#directory = directory;
    this.#held = held;
  }

  /** Reads what is there, and removes what interrupted writes left. */
  static async open(directory: string): Promise<Storage> {
    await makeStateDirectory(directory);
    await removeLeftovers(directory);
    const held = new Map<string, Held>();
    for (const name of await readdir(directory)) {
      const id = idOfFileName(name, extension);
      if (id !== undefined) held.set(id, await read(join(directory, name), id));
    }
    return new Storage(directory, held);
  }

  get(id: string): Held | undefined {
    return this.#held.get(id);
  }

  ids(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** Writes a certificate down; what was there under this id is replaced. */
  async put(id: string, chain: readonly Certificate[], keyId: string): Promise<Held> {
    const record = { version: 1, key_id: keyId, chain_pem: encodeCertificatesPem(chain) };
    await writeStateFile(this.#path(id), `${JSON.stringify(record, undefined, 2)}\n`);
    const held = { id, chain, keyId, preloaded: false };
    this.#held.set(id, held);
    return held;
  }

  /** Removes a certificate. */
  async delete(id: string): Promise<void> {
    await deleteStateFile(this.#path(id));
    this.#held.delete(id);
  }

  #path(id: string): string {
    return join(this.#directory, fileNameOf(id, extension));
  }
}

async function read(path: string, id: string): Promise<Held> {
  const nothing = { id, chain: [], keyId: '', preloaded: false };
  try {
    const record = await readStateJson(path, parseRecord);
    if (record === undefined) return { ...nothing, damage: 'the file is gone' };
    return { ...nothing, ...record };
  } catch (error) {
    return { ...nothing, damage: describeError(error) };
  }
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
