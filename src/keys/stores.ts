import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type KeyId, parseKeyId } from '../ids.ts';
import type { KeysConfig } from './config/config.ts';
import { configuredTokens, type TokenSettings } from './config/token-settings.ts';
import type { PreloadedFile } from './file/preloaded.ts';
import { FileStore } from './file/store.ts';
import { discardEarlyHost } from './pkcs11/library/host-program.ts';
import { Pkcs11Library } from './pkcs11/library/library.ts';
import { PinGuard } from './pkcs11/library/pin-guard.ts';
import type { TokenAddress } from './pkcs11/library/token.ts';
import { openTokenKeyRecords } from './pkcs11/records.ts';
import { Pkcs11Store, type Pkcs11StoreOptions } from './pkcs11/store.ts';
import type { StoreKind } from './store.ts';

/** The stores of a configuration. */
export interface Stores {
  readonly file: FileStore;
  /** Undefined when no token is configured. */
  readonly pkcs11: Pkcs11Store | undefined;
  /** The stores of keys that are created without naming one. */
  readonly defaults: { readonly pair: StoreKind; readonly symmetric: StoreKind };
}

/** How long the end of the service waits for a login. */
const loginMs = 2_500;

/** Closes stores, except those that `others` contains too. */
export async function closeStores({ file, pkcs11 }: Stores, others?: Stores): Promise<void> {
  if (pkcs11 !== others?.pkcs11) await pkcs11?.[Symbol.asyncDispose]();
  if (file !== others?.file) await file[Symbol.asyncDispose]();
}

/** The settings of both stores. */
interface Settings {
  readonly files: ReadonlyMap<KeyId, PreloadedFile>;
  readonly tokens: unknown;
}

/**
 * Opens the stores of successive configurations. Libraries, records and refused PINs are shared by all of them, and a
 * store whose settings have not changed is reused.
 */
export class StoreOpener implements AsyncDisposable {
  readonly #stateDir: string;
  readonly #libraries = new Map<string, Pkcs11Library>();
  #context: Promise<Pick<Pkcs11StoreOptions, 'records' | 'guard'>> | undefined;
  readonly #settings = new WeakMap<Stores, Settings>();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Opens the stores of a configuration, or reuses those in force with equal settings. Connects to no token yet. */
  async open(config: KeysConfig, inForce?: Stores): Promise<Stores> {
    const settings = settingsOf(config);
    const before = inForce && this.#settings.get(inForce);
    const keepsFiles = isDeepStrictEqual(settings.files, before?.files);
    const keepsTokens = isDeepStrictEqual(settings.tokens, before?.tokens);
    const [file, pkcs11] = await Promise.all([
      inForce !== undefined && keepsFiles ? inForce.file : this.#openFiles(settings),
      inForce !== undefined && keepsTokens ? inForce.pkcs11 : this.#openTokens(config),
    ]);
    const pair = config.pkcs11_base_slot === undefined ? 'file' : 'pkcs11';
    const symmetric = config.symmetric_store ?? pair;
    const stores: Stores = { file, pkcs11, defaults: { pair, symmetric } };
    this.#settings.set(stores, settings);
    return stores;
  }

  /** Waits for pending logins: interrupting one may use up an attempt of the PIN. */
  async loginsSettled(): Promise<void> {
    await (await this.#context)?.guard.settled(loginMs);
  }

  /** Ends the libraries that a configuration no longer names. */
  async endUnused(config: KeysConfig): Promise<void> {
    const { base, preloaded } = configuredTokens(config);
    const tokens = [base, ...Array.from(preloaded.values(), ({ token }) => token)];
    const used = new Set(tokens.map((token) => token?.libraryPath));
    for (const [path, library] of this.#libraries) {
      if (used.has(path)) continue;
      this.#libraries.delete(path);
      await library[Symbol.asyncDispose]();
    }
  }

  /** Fails all calls of libraries that have not returned. */
  abandonCalls(): void {
    for (const library of this.#libraries.values()) library.abandon();
  }

  /** Ends the processes of the libraries; the stores must be closed before. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      Array.from(this.#libraries.values(), (library) => library[Symbol.asyncDispose]()),
    );
  }

  #openFiles({ files }: Settings): Promise<FileStore> {
    return FileStore.open(join(this.#stateDir, 'keys'), files);
  }

  async #openTokens(config: KeysConfig): Promise<Pkcs11Store | undefined> {
    const libraryAt = (path: string): Pkcs11Library => {
      const library = this.#libraries.get(path) ?? new Pkcs11Library(path);
      this.#libraries.set(path, library);
      return library;
    };
    const layout = layoutOf(config, libraryAt);
    if (layout.base === undefined && layout.preloaded.size === 0) {
      discardEarlyHost();
      return undefined;
    }
    this.#context ??= openBeside(this.#stateDir);
    return new Pkcs11Store({
      ...layout,
      usages: usagesOf(config),
      ...(await this.#context),
    });
  }
}

async function openBeside(
  stateDir: string,
): Promise<Pick<Pkcs11StoreOptions, 'records' | 'guard'>> {
  return {
    records: await openTokenKeyRecords(join(stateDir, 'token')),
    guard: await PinGuard.open(join(stateDir, 'refused-pins')),
  };
}

function settingsOf(config: KeysConfig): Settings {
  const { pkcs11_lib_path, pkcs11_base_slot, tokens, keys, preloaded } = config;
  const inTokens = Object.entries(preloaded).filter(([, { kind }]) => kind === 'token');
  return {
    files: preloadedFiles(config),
    tokens: { pkcs11_lib_path, pkcs11_base_slot, tokens, keys, inTokens },
  };
}

function layoutOf(
  config: KeysConfig,
  libraryAt: (path: string) => Pkcs11Library,
): Pick<Pkcs11StoreOptions, 'base' | 'preloaded'> {
  const { base, preloaded } = configuredTokens(config);
  const addressOf = ({ libraryPath, ...rest }: TokenSettings): TokenAddress => ({
    library: libraryAt(libraryPath),
    ...rest,
  });
  const keys = [...preloaded].map(
    ([id, { token, selector }]) => [id, { token: addressOf(token), selector }] as const,
  );
  return { base: base && addressOf(base), preloaded: new Map(keys) };
}

function preloadedFiles(config: KeysConfig): ReadonlyMap<KeyId, PreloadedFile> {
  const files = new Map<KeyId, PreloadedFile>();
  for (const [id, source] of Object.entries(config.preloaded)) {
    if (source.kind !== 'file') continue;
    const usages = config.keys[id]?.usages;
    files.set(parseKeyId(id), { path: source.path, usages });
  }
  return files;
}

function usagesOf(
  config: KeysConfig,
): ReadonlyMap<KeyId, NonNullable<KeysConfig['keys'][string]['usages']>> {
  const usages = new Map<KeyId, NonNullable<KeysConfig['keys'][string]['usages']>>();
  for (const [id, { usages: configured }] of Object.entries(config.keys)) {
    if (configured !== undefined) usages.set(parseKeyId(id), configured);
  }
  return usages;
}
