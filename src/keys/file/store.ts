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
import { randomSecret } from '../material/secret-bytes.ts';
import type { SignRequest } from '../mechanism.ts';
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

const extension = '.key';
const generate = promisify(generateKeyPair);

/** What is made of the file of a key: the key, or why there is none. */
type Known =
  | FileKey
  | { readonly info: KeyInfo; readonly key: undefined; readonly failure?: DamagedFile };

/** Keys in files of the state directory, and files that the configuration names. */
export class FileStore implements KeyStore {
  readonly kind = 'file';
  readonly #directory: string;
  readonly #keys = new Map<KeyId, Known>();
  readonly #preloaded: ReadonlyMap<KeyId, PreloadedFile>;
  /** Why the directory cannot be used: what is in it is unknown. */
  #failure: UnusableFile | undefined;

  private constructor(directory: string, preloaded: ReadonlyMap<KeyId, PreloadedFile>) {
    this.#directory = directory;
    this.#preloaded = preloaded;
  }

  /** Reads all keys of a directory, which is made when it is missing. One that cannot be used is a failure of the listing. */
  static async open(
    directory: string,
    preloaded: ReadonlyMap<KeyId, PreloadedFile> = new Map(),
  ): Promise<FileStore> {
    const store = new FileStore(directory, preloaded);
    await store.#loadAll();
    for (const [id, file] of preloaded) store.#keys.set(id, await readPreloaded(id, file));
    return store;
  }

  async list(): Promise<Listing> {
    for (const [id, file] of this.#preloaded) {
      if (this.#keys.get(id)?.key === undefined) {
        this.#keys.set(id, await readPreloaded(id, file));
      }
    }
    if (this.#failure !== undefined) await this.#loadAll();
    for (const [id, { info }] of this.#keys) if (info.state === 'unavailable') await this.#load(id);
    const keys = [...this.#keys.values()].map(({ info }) => info);
    return { keys, ignored: [], failure: this.#failure && unlisted(this.#failure) };
  }

  /** What an administrator may have put right meanwhile is read again. */
  async describe(id: KeyId): Promise<KeyInfo | undefined> {
    if (this.#failure !== undefined && !this.#preloaded.has(id)) await this.#loadAll();
    if (this.#keys.get(id)?.info.state === 'unavailable') await this.#load(id);
    const known = this.#keys.get(id)?.info;
    if (known === undefined && this.#failure !== undefined) throw unlisted(this.#failure);
    return known;
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
    if (this.#failure !== undefined) throw unlisted(this.#failure);
    this.#assertIntact(id);
    if (this.#keys.get(id)?.info.state === 'damaged') throw this.#exists(id);
    const { algorithm, bytes } = material;
    return await this.#write({ id, algorithm, origin: 'imported' }, attributes, bytes);
  }

  async deleteKey(id: KeyId): Promise<void> {
    if (this.#preloaded.has(id)) throw preloadedKey(id);
    if (!this.#keys.has(id)) throw notFound(id);
    this.#assertIntact(id);
    await destroyStateFile(this.#path(id));
    this.#keys.delete(id);
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
      else this.#keys.set(id, parseKeyFile(path, id, content));
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#keys.set(id, { info: broken(id, error), key: undefined, failure: error });
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

  /** What may be whole and cannot be used here is neither replaced nor removed. */
  #assertIntact(id: KeyId): void {
    const known = this.#keys.get(id);
    if (known?.key === undefined) refuseUnusable(known?.failure);
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

function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

function preloadedKey(id: KeyId): ServiceError {
  return new ServiceError('NotSupported', `key "${id}" is preloaded`);
}
