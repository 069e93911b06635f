import { generateKeyPair, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';
import { type KeyId, parseKeyId } from '../../ids.ts';
import { fileNameOf, idOfFileName } from '../../service/state/file-name.ts';
import {
  DamagedFile,
  destroyStateFile,
  openStateDirectory,
  readStateFile,
  refuseUnusable,
  replaceStateFile,
  UnusableFile,
} from '../../service/state/state-file.ts';
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

const extension = '.key';
const generate = promisify(generateKeyPair);

/** Keys in files of the state directory, and files that the configuration names. */
export class FileStore implements KeyStore {
  readonly kind = 'file';
  readonly #directory: string;
  readonly #keys = new Map<KeyId, FileKey>();
  readonly #preloaded: ReadonlyMap<KeyId, PreloadedFile>;
  /** Why the directory cannot be used: what is in it is unknown. */
  #failure: UnusableFile | undefined;

  private constructor(directory: string, preloaded: ReadonlyMap<KeyId, PreloadedFile>) {
    this.#directory = directory;
    this.#preloaded = preloaded;
  }

  /** Reads all keys of a directory, created when missing. An unusable directory is a failure of the listing. */
  static async open(
    directory: string,
    preloaded: ReadonlyMap<KeyId, PreloadedFile> = new Map(),
  ): Promise<FileStore> {
    const store = new FileStore(directory, preloaded);
    await store.#loadAll();
    for (const [id, file] of preloaded) store.#put(await readPreloaded(id, file));
    return store;
  }

  async list(): Promise<Listing> {
    for (const [id, file] of this.#preloaded) {
      if (this.#keys.get(id)?.isUsable !== true) this.#put(await readPreloaded(id, file));
    }
    if (this.#failure !== undefined) await this.#loadAll();
    for (const [id, { info }] of this.#keys) if (info.state === 'unavailable') await this.#load(id);
    const keys = [...this.#keys.values()].map(({ info }) => info);
    return { keys, ignored: [], failure: this.#failure && unlisted(this.#failure) };
  }

  /** Returns a key. An unavailable file is read again: an administrator may have repaired it. */
  async get(id: KeyId): Promise<FileKey | undefined> {
    if (this.#failure !== undefined && !this.#preloaded.has(id)) await this.#loadAll();
    if (this.#keys.get(id)?.info.state === 'unavailable') await this.#load(id);
    const key = this.#keys.get(id);
    if (key === undefined && this.#failure !== undefined) throw unlisted(this.#failure);
    return key;
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
    if (this.#failure !== undefined) throw unlisted(this.#failure);
    this.#assertIntact(id);
    if (this.#keys.get(id)?.info.state === 'damaged') throw this.#exists(id);
    const { algorithm, bytes } = material;
    return this.#write({ id, algorithm, origin: 'imported' }, attributes, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keys.clear();
  }

  async #loadAll(): Promise<void> {
    const { names, failure } = await openStateDirectory(this.#directory);
    for (const name of names) {
      const id = idOfFileName(name, extension);
      if (id !== undefined) await this.#load(parseKeyId(id));
    }
    // last: until all are loaded, an id that is not known may be there
    this.#failure = failure;
  }

  async #load(id: KeyId): Promise<void> {
    if (this.#preloaded.has(id)) return;
    const path = this.#path(id);
    let content: Buffer | undefined;
    try {
      content = await readStateFile(path);
      if (content === undefined) this.#keys.delete(id);
      else this.#put(parseKeyFile(path, id, content));
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#put({ info: broken(id, error), key: undefined, damage: error });
    } finally {
      content?.fill(0);
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
    const path = this.#path(made.id);
    try {
      const key = parseKeyFile(path, made.id, content);
      await replaceStateFile(path, content);
      this.#put(key);
      return key.info;
    } finally {
      content.fill(0);
    }
  }

  async #delete(id: KeyId): Promise<void> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    if (!this.#keys.has(id)) throw notFound(id);
    this.#assertIntact(id);
    await destroyStateFile(this.#path(id));
    this.#keys.delete(id);
  }

  #put(file: KeyFile): void {
    this.#keys.set(file.info.id, new FileKey(file, ({ info }) => this.#delete(info.id)));
  }

  /** Files that may be intact but are unusable here are neither replaced nor removed. */
  #assertIntact(id: KeyId): void {
    refuseUnusable(this.#keys.get(id)?.damage);
  }

  #assertFree(id: KeyId): void {
    if (this.#failure !== undefined) throw unlisted(this.#failure);
    this.#assertIntact(id);
    if (this.#keys.has(id)) throw this.#exists(id);
  }

  #exists(id: KeyId): ServiceError {
    const damage = this.#keys.get(id)?.info.reason;
    const what = damage === undefined ? 'exists already' : `is there: ${damage}`;
    return new ServiceError('AlreadyExists', `key "${id}" ${what}`);
  }

  #path(id: KeyId): string {
    return join(this.#directory, fileNameOf(id, extension));
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

function unlisted(failure: UnusableFile): ServiceError {
  const message = `the keys in files cannot be listed: ${failure.message}`;
  return new ServiceError('Unavailable', message, { cause: failure });
}

function preloadedKey(id: KeyId): ServiceError {
  return notSupported(`key "${id}" is preloaded`);
}
