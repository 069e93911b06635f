import { generateKeyPair, type KeyObject } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ServiceError } from '../../errors.ts';
import { type KeyId, parseKeyId } from '../../ids.ts';
import {
  DamagedFile,
  destroyStateFile,
  fileNameOf,
  idOfFileName,
  makeStateDirectory,
  readStateFile,
  removeLeftovers,
  replaceStateFile,
} from '../../service/state-file.ts';
import {
  canHave,
  curveName,
  isEc,
  isRsa,
  modulusBits,
  type PairAlgorithm,
  type SymmetricAlgorithm,
} from '../algorithm.ts';
import type { SignRequest } from '../mechanism.ts';
import { randomSecret } from '../secret-bytes.ts';
import type {
  CipherRequest,
  KeyAttributes,
  KeyInfo,
  KeyStore,
  Listing,
  Material,
} from '../store.ts';
import { type FileKey, formatKeyFile, type KeyFileHeader, parseKeyFile } from './key-file.ts';
import { openOaep, seal, signWith, unseal } from './operations.ts';
import { type PreloadedFile, readPreloaded } from './preloaded.ts';

const EXTENSION = '.key';
const generate = promisify(generateKeyPair);

/** What is made of the file of a key: the key, or why there is none. */
type Known = FileKey | { readonly info: KeyInfo; readonly key: undefined };

/** Keys in files of the state directory, and files that the configuration names. */
export class FileStore implements KeyStore {
  readonly kind = 'file';
  readonly #directory: string;
  readonly #keys = new Map<KeyId, Known>();
  readonly #preloaded: ReadonlyMap<KeyId, PreloadedFile>;

  private constructor(directory: string, preloaded: ReadonlyMap<KeyId, PreloadedFile>) {
    this.#directory = directory;
    this.#preloaded = preloaded;
  }

  /** Reads all keys of a directory, which is made when it is missing. */
  static async open(
    directory: string,
    preloaded: ReadonlyMap<KeyId, PreloadedFile> = new Map(),
  ): Promise<FileStore> {
    await makeStateDirectory(directory);
    await removeLeftovers(directory);
    const store = new FileStore(directory, preloaded);
    for (const name of await readdir(directory)) {
      const id = idOfFileName(name, EXTENSION);
      if (id !== undefined) await store.#load(parseKeyId(id));
    }
    for (const [id, file] of preloaded) store.#keys.set(id, await readPreloaded(id, file));
    return store;
  }

  async list(): Promise<Listing> {
    for (const [id, file] of this.#preloaded) {
      if (this.#keys.get(id)?.key === undefined) {
        this.#keys.set(id, await readPreloaded(id, file));
      }
    }
    const keys = [...this.#keys.values()].map(({ info }) => info);
    return { keys, ignored: [], failure: undefined };
  }

  async describe(id: KeyId): Promise<KeyInfo | undefined> {
    return this.#keys.get(id)?.info;
  }

  async sign(id: KeyId, request: SignRequest): Promise<Buffer> {
    return await signWith(this.#usable(id), request);
  }

  async encrypt(id: KeyId, plain: Buffer, request: CipherRequest): Promise<Buffer> {
    return seal(this.#usable(id).key, plain, request);
  }

  async decrypt(id: KeyId, sealed: Buffer, request: CipherRequest): Promise<Buffer | undefined> {
    return unseal(this.#usable(id).key, sealed, request);
  }

  async decryptOaep(id: KeyId, block: Buffer): Promise<Buffer | undefined> {
    return openOaep(this.#usable(id).key, block);
  }

  async exportKey(id: KeyId): Promise<Buffer> {
    const { key } = this.#usable(id);
    return key.type === 'secret' ? key.export() : key.export({ type: 'pkcs8', format: 'der' });
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
    return await this.#writeGenerated({ id, algorithm }, attributes, material);
  }

  async createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
  ): Promise<KeyInfo> {
    this.#assertFree(id);
    return await this.#writeGenerated({ id, algorithm }, attributes, randomSecret(32));
  }

  async importKey(id: KeyId, material: Material, attributes: KeyAttributes): Promise<KeyInfo> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    if (this.#keys.get(id)?.info.state === 'damaged') throw this.#exists(id);
    const { algorithm, bytes } = material;
    return await this.#write({ id, algorithm, origin: 'imported' }, attributes, bytes);
  }

  async deleteKey(id: KeyId): Promise<void> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    if (!this.#keys.has(id)) throw notFound(id);
    await destroyStateFile(this.#path(id));
    this.#keys.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keys.clear();
  }

  async #load(id: KeyId): Promise<void> {
    const path = this.#path(id);
    const content = await readStateFile(path);
    if (content === undefined) return;
    try {
      this.#keys.set(id, parseKeyFile(path, id, content));
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#keys.set(id, { info: damaged(id, error.message), key: undefined });
    } finally {
      content.fill(0);
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
      this.#keys.set(made.id, key);
      return key.info;
    } finally {
      content.fill(0);
    }
  }

  #usable(id: KeyId): FileKey {
    const known = this.#keys.get(id);
    if (known === undefined) throw notFound(id);
    if (known.key !== undefined) return known;
    throw new ServiceError('Unavailable', `key "${id}" is unusable: ${known.info.reason}`);
  }

  #assertFree(id: KeyId): void {
    if (this.#keys.has(id)) throw this.#exists(id);
  }

  #exists(id: KeyId): ServiceError {
    const damage = this.#keys.get(id)?.info.reason;
    const what = damage === undefined ? 'exists already' : `is there: ${damage}`;
    return new ServiceError('AlreadyExists', `key "${id}" ${what}`);
  }

  #path(id: KeyId): string {
    return join(this.#directory, fileNameOf(id, EXTENSION));
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

function damaged(id: KeyId, reason: string): KeyInfo {
  return {
    id,
    kind: 'pair',
    algorithm: undefined,
    usages: [],
    store: 'file',
    origin: 'generated',
    exportable: false,
    exportDerived: false,
    state: 'damaged',
    reason,
    created: undefined,
    spki: undefined,
  };
}

function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

function preloadedKey(id: KeyId): ServiceError {
  return new ServiceError('NotSupported', `key "${id}" is preloaded`);
}
