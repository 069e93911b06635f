import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';
import { type KeyId, parseKeyId } from '../../ids.ts';
import { RecordDirectory, type RecordForm } from '../../service/state/record-directory.ts';
import { type DamagedFile, refuseUnusable, UnusableFile } from '../../service/state/state-file.ts';
import {
  canHave,
  curveName,
  isEc,
  isRsa,
  modulusBits,
  type PairAlgorithm,
  type SymmetricAlgorithm,
} from '../algorithm.ts';
import { notFound, notSupported } from '../errors.ts';
import { randomSecret } from '../material/secret-bytes.ts';
import type { KeyAttributes, KeyInfo, KeyStore, Listing, Material } from '../store.ts';
import { FileKey, type KeyFile } from './key.ts';
import { formatKeyFile, type KeyFileHeader, parseKeyFile } from './key-file.ts';
import { type PreloadedFile, readPreloaded } from './preloaded.ts';

const generate = promisify(generateKeyPair);

/** The files of keys; those with a preloaded id are hidden, and not even read. */
function formOf(preloaded: ReadonlyMap<KeyId, PreloadedFile>): RecordForm<KeyId, KeyFile> {
  return {
    extension: '.key',
    parseId: (text) => {
      const id = parseKeyId(text);
      if (preloaded.has(id)) throw preloadedKey(id);
      return id;
    },
    parse: (content, { path, id }) => parseKeyFile(path, id, content),
    isSecret: true,
  };
}

/** Keys in files of the state directory, and files that the configuration names. */
export class FileStore implements KeyStore {
  readonly kind = 'file';
  readonly #files: RecordDirectory<KeyId, KeyFile>;
  /** Files that the configuration names; they hide files of the directory with the same id. */
  readonly #preloaded: ReadonlyMap<KeyId, PreloadedFile>;
  readonly #preloadedKeys = new Map<KeyId, KeyFile>();

  private constructor(
    files: RecordDirectory<KeyId, KeyFile>,
    preloaded: ReadonlyMap<KeyId, PreloadedFile>,
  ) {
    this.#files = files;
    this.#preloaded = preloaded;
  }

  /** Reads all keys of a directory, created when missing. An unusable directory is a failure of the listing. */
  static async open(
    directory: string,
    preloaded: ReadonlyMap<KeyId, PreloadedFile> = new Map(),
  ): Promise<FileStore> {
    const files = await RecordDirectory.open(directory, formOf(preloaded));
    const store = new FileStore(files, preloaded);
    await store.#readPreloaded();
    return store;
  }

  async list(): Promise<Listing> {
    await this.#readPreloaded();
    await this.#files.retry();
    const ids = new Set([...this.#files.ids(), ...this.#preloaded.keys()]);
    const keys = [...ids].flatMap((id) => this.#find(id)?.info ?? []);
    const { failure } = this.#files;
    return { keys, ignored: [], failure: failure && unlisted(failure) };
  }

  /** Returns a key. An unavailable file is read again: an administrator may have repaired it. */
  async get(id: KeyId): Promise<FileKey | undefined> {
    const known = this.#preloadedKeys.get(id) ?? this.#files.entries.get(id)?.value;
    const file = known ?? (await this.#retry(id));
    return file && new FileKey(file, () => this.#delete(id));
  }

  async #retry(id: KeyId): Promise<KeyFile | undefined> {
    if (this.#files.damage(id) !== undefined) await this.#files.retry([id]);
    return this.#find(id);
  }

  async createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
  ): Promise<KeyInfo> {
    this.#assertFree(id);
    const algorithm = algorithms.find((one) =>
      attributes.usages.every((usage) => canHave(one, usage)),
    );
    if (algorithm === undefined) {
      const message = `no key pair of ${algorithms.join(', ')} has these usages`;
      throw new ServiceError('NotSupported', message);
    }
    const privateKey = await generatePrivate(algorithm);
    const material = privateKey.export({ type: 'pkcs8', format: 'der' });
    return this.#writeGenerated({ id, algorithm }, attributes, material);
  }

  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
  ): Promise<KeyInfo> {
    this.#assertFree(id);
    return this.#writeGenerated({ id, algorithm }, attributes, randomSecret(32));
  }

  async importKey(id: KeyId, material: Material, attributes: KeyAttributes): Promise<KeyInfo> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    const file = this.#findIntact(id);
    if (file?.info.state === 'damaged') throw exists(file);
    const { algorithm, bytes } = material;
    return this.#write({ id, algorithm, origin: 'imported' }, attributes, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#files[Symbol.dispose]();
    this.#preloadedKeys.clear();
  }

  /** Reads the files without a usable key so far. */
  async #readPreloaded(): Promise<void> {
    for (const [id, file] of this.#preloaded) {
      if (this.#preloadedKeys.get(id)?.key !== undefined) continue;
      this.#preloadedKeys.set(id, await readPreloaded(id, file));
    }
  }

  /** Writes the file of a new key and wipes the material. */
  async #writeGenerated(
    made: Pick<KeyFileHeader, 'id' | 'algorithm'>,
    attributes: KeyAttributes,
    material: Buffer,
  ): Promise<KeyInfo> {
    try {
      return await this.#write({ ...made, origin: 'generated' }, attributes, material);
    } finally {
      material.fill(0);
    }
  }

  /** Writes the file of a key; the material stays the caller's. */
  async #write(
    made: Pick<KeyFileHeader, 'id' | 'algorithm' | 'origin'>,
    attributes: KeyAttributes,
    material: Buffer,
  ): Promise<KeyInfo> {
    const content = formatKeyFile({ ...made, ...attributes, created: new Date() }, material);
    try {
      return (await this.#files.putSecret(made.id, content)).info;
    } finally {
      content.fill(0);
    }
  }

  async #delete(id: KeyId): Promise<void> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    if (this.#findIntact(id) === undefined) throw notFound(id);
    await this.#files.delete(id);
  }

  /** The file of an id, damaged or not. Unavailable when the directory is unusable. */
  #find(id: KeyId): KeyFile | undefined {
    if (this.#preloaded.has(id)) return this.#preloadedKeys.get(id);
    const damage = this.#files.damage(id);
    if (damage === undefined) return this.#files.get(id);
    if (damage === this.#files.failure) throw unlisted(damage);
    return { info: broken(id, damage), key: undefined, damage };
  }

  /** As `#find`; files that may be intact but are unusable here are neither replaced nor removed. */
  #findIntact(id: KeyId): KeyFile | undefined {
    const file = this.#find(id);
    refuseUnusable(file?.damage);
    return file;
  }

  #assertFree(id: KeyId): void {
    const file = this.#findIntact(id);
    if (file !== undefined) throw exists(file);
  }
}

async function generatePrivate(algorithm: PairAlgorithm): Promise<KeyObject> {
  if (isRsa(algorithm)) {
    return (await generate('rsa', { modulusLength: modulusBits(algorithm) })).privateKey;
  }
  if (isEc(algorithm)) {
    return (await generate('ec', { namedCurve: curveName(algorithm) })).privateKey;
  }
  return (await generate('ed25519')).privateKey;
}

function broken(id: KeyId, failure: DamagedFile): KeyInfo {
  return {
    id,
    kind: 'pair',
    algorithm: undefined,
    usages: [],
    store: 'file',
    origin: 'generated',
    exportable: false,
    exportDerived: false,
    state: failure instanceof UnusableFile ? 'unavailable' : 'damaged',
    reason: failure.message,
    created: undefined,
    spki: undefined,
  };
}

function unlisted(failure: DamagedFile): ServiceError {
  const message = `the keys in files cannot be listed: ${failure.message}`;
  return new ServiceError('Unavailable', message, { cause: failure });
}

function exists({ info: { id, reason } }: KeyFile): ServiceError {
  const what = reason === undefined ? 'exists already' : `is there: ${reason}`;
  return new ServiceError('AlreadyExists', `key "${id}" ${what}`);
}

function preloadedKey(id: KeyId): ServiceError {
  return notSupported(`key "${id}" is preloaded`);
}
