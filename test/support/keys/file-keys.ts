import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { type KeyId, nameParsers, parseKeyId } from '../../../src/ids.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { KeyCatalog } from '../../../src/keys/catalog.ts';
import type { PreloadedFile } from '../../../src/keys/file/preloaded.ts';
import { FileStore } from '../../../src/keys/file/store.ts';
import { keysHandlers } from '../../../src/keys/handlers.ts';
import { KeyOperations } from '../../../src/keys/key-operations.ts';
import { KeyService } from '../../../src/keys/service.ts';
import { soon } from '../deadline.ts';
import { definitionOf } from '../polkit/authorization-requests.ts';
import { callWith } from '../wire/messages.ts';
import { ShownObjects } from '../wire/shown-objects.ts';

/** A call with the fields that the handlers read. */
const call = (): CallContext => ({ cancellation: soon() }) as Partial<CallContext> as CallContext;
type Methods = ReturnType<typeof keysHandlers>;

/** The methods of the manager on keys in files, called as by the dispatcher. */
export class FileKeys implements AsyncDisposable {
  readonly directory: string;
  readonly service: KeyService;
  readonly objects = new ShownObjects(keysService);
  readonly #methods: Methods;

  private constructor(directory: string, file: FileStore) {
    this.directory = directory;
    const defaults = { pair: 'file', symmetric: 'file' } as const;
    const { objects } = this;
    const stores = { file, pkcs11: undefined, defaults };
    this.service = new KeyService(stores, new KeyCatalog(objects));
    this.#methods = keysHandlers(this.service, {
      operations: new KeyOperations(this.service),
      objects,
    });
  }

  static async start(preloaded: Readonly<Record<string, PreloadedFile>> = {}): Promise<FileKeys> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-file-keys-'));
    const files = new Map<KeyId, PreloadedFile>();
    for (const [id, file] of Object.entries(preloaded)) files.set(parseKeyId(id), file);
    return new FileKeys(directory, await FileStore.open(join(directory, 'keys'), files));
  }

  /** Calls a method by its name with the body of a D-Bus call, and returns the body of the reply. */
  async call(member: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    const method = new Method(member, definitionOf('keys', member));
    const { values } = method.parse(callWith(method.signature, body), nameParsers);
    const methods = this.#methods as unknown as Readonly<
      Record<string, (args: object, context: CallContext) => unknown>
    >;
    return method.reply(await methods[member]?.(values, call())).body;
  }

  async createPair(key_id: string, algorithm: string, usages: string[], options = {}) {
    const made = {
      key_id: parseKeyId(key_id),
      algorithms: algorithm === '' ? [] : [algorithm],
      usages,
      options,
    };
    return this.#methods.CreateKeyPair(made, call());
  }

  async createKey(key_id: string, algorithm: string, usages: string[], options = {}) {
    return this.#methods.CreateKey(
      { key_id: parseKeyId(key_id), algorithm, usages, options },
      call(),
    );
  }

  /** Imports a copy of the material: the method wipes its argument. */
  async import(
    key_id: string,
    material: Buffer,
    algorithm: string,
    usages: string[],
    options = {},
  ) {
    const format = algorithm === '' ? 'pkcs8' : 'raw';
    const given = {
      key_id: parseKeyId(key_id),
      format,
      material: Buffer.from(material),
      algorithm,
      usages,
      options,
    };
    return this.#methods.ImportKey(given, call());
  }

  async delete(key_id: string): Promise<void> {
    await this.#methods.DeleteKey({ key_id: parseKeyId(key_id), options: {} }, call());
  }

  async publicKey(key_id: string): Promise<Buffer> {
    return (await this.#methods.GetPublicKey({ key_id: parseKeyId(key_id), options: {} }, call()))
      .spki;
  }

  async sign(key_id: string, mechanism: string, data: Buffer, options = {}): Promise<Buffer> {
    return (
      await this.#methods.Sign({ key_id: parseKeyId(key_id), mechanism, data, options }, call())
    ).signature;
  }

  async verify(
    key_id: string,
    mechanism: string,
    { data, signature }: { readonly data: Buffer; readonly signature: Buffer },
    options = {},
  ): Promise<boolean> {
    const given = { key_id: parseKeyId(key_id), mechanism, data, signature, options };
    return (await this.#methods.Verify(given, call())).valid;
  }

  /** Encrypts a copy of the input: the method wipes its argument. */
  async encrypt(key_id: string, mechanism: string, input: Buffer, options = {}): Promise<Buffer> {
    const given = { key_id: parseKeyId(key_id), mechanism, input: Buffer.from(input), options };
    return (await this.#methods.Encrypt(given, call())).output;
  }

  async decrypt(key_id: string, mechanism: string, input: Buffer, options = {}): Promise<Buffer> {
    return (
      await this.#methods.Decrypt({ key_id: parseKeyId(key_id), mechanism, input, options }, call())
    ).output;
  }

  async export(key_id: string, format: string, options = {}): Promise<Buffer> {
    return (await this.#methods.ExportKey({ key_id: parseKeyId(key_id), format, options }, call()))
      .material;
  }

  async random(count: number): Promise<Buffer> {
    return (await this.#methods.GetRandom({ count, options: {} }, call())).bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
