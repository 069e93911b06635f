import { join } from 'node:path';
import { type KeyId, parseKeyId } from '../ids.ts';
import type { KeysConfig, TokenConfig } from './config.ts';
import type { PreloadedFile } from './file/preloaded.ts';
import { FileStore } from './file/store.ts';
import type { PreloadedKey } from './pkcs11/key-places.ts';
import { Pkcs11Module } from './pkcs11/module.ts';
import { PinGuard } from './pkcs11/pin-guard.ts';
import { TokenKeyRecords } from './pkcs11/records.ts';
import { Pkcs11Store } from './pkcs11/store.ts';
import type { TokenAddress } from './pkcs11/token.ts';
import { type PinSource, type Pkcs11Uri, parseUri, type TokenSelector } from './pkcs11-uri.ts';
import type { StoreKind } from './store.ts';

/** The stores that a configuration asks for. */
export interface Stores extends AsyncDisposable {
  readonly file: FileStore;
  /** `undefined` when no token is configured. */
  readonly pkcs11: Pkcs11Store | undefined;
  /** Where keys are created that do not say where. */
  readonly defaults: { readonly pair: StoreKind; readonly symmetric: StoreKind };
}

/** Opens the stores. Tokens are not touched yet. */
export async function openStores(config: KeysConfig, stateDir: string): Promise<Stores> {
  const modules = new Map<string, Pkcs11Module>();
  const moduleAt = (path: string): Pkcs11Module => {
    const module = modules.get(path) ?? new Pkcs11Module(path);
    modules.set(path, module);
    return module;
  };
  const [file, pkcs11] = await Promise.all([
    FileStore.open(join(stateDir, 'keys'), preloadedFiles(config)),
    openTokens(config, stateDir, moduleAt),
  ]);
  const pair = config.pkcs11_base_slot === undefined ? 'file' : 'pkcs11';
  return {
    file,
    pkcs11,
    defaults: { pair, symmetric: config.symmetric_store ?? pair },
    async [Symbol.asyncDispose]() {
      await pkcs11?.[Symbol.asyncDispose]();
      for (const module of modules.values()) await module[Symbol.asyncDispose]();
      await file[Symbol.asyncDispose]();
    },
  };
}

async function openTokens(
  config: KeysConfig,
  stateDir: string,
  moduleAt: (path: string) => Pkcs11Module,
): Promise<Pkcs11Store | undefined> {
  const known = Object.values(config.tokens).map((token) => ({ token, uri: parseUri(token.uri) }));
  const address = (uri: Pkcs11Uri): TokenAddress => {
    const own = known.find(({ uri: { tokenSelector } }) =>
      covers(tokenSelector, uri.tokenSelector),
    );
    const path = uri.modulePath ?? own?.token.module ?? own?.uri.modulePath;
    return {
      module: moduleAt(path ?? config.pkcs11_lib_path ?? ''),
      selector: uri.tokenSelector,
      pin: uri.pin ?? (own && pinOf(own.token, own.uri)),
    };
  };
  const base = config.pkcs11_base_slot;
  const preloaded = new Map<KeyId, PreloadedKey>();
  for (const [id, source] of Object.entries(config.preloaded)) {
    if (source.kind === 'file') continue;
    const uri = parseUri(source.uri);
    preloaded.set(parseKeyId(id), { token: address(uri), selector: uri.objectSelector });
  }
  if (base === undefined && preloaded.size === 0) return undefined;
  return new Pkcs11Store({
    base: base === undefined ? undefined : address(parseUri(base)),
    preloaded,
    usages: usagesOf(config),
    records: await TokenKeyRecords.open(join(stateDir, 'token')),
    guard: await PinGuard.open(join(stateDir, 'refused-pins')),
  });
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

/** Whether what one selector says, another says too. */
function covers(general: TokenSelector, special: TokenSelector): boolean {
  const said = new Map<string, unknown>(Object.entries(special));
  return Object.entries(general).every(([name, value]) => said.get(name) === value);
}

function pinOf({ pin_file: path }: TokenConfig, uri: Pkcs11Uri): PinSource | undefined {
  return path === undefined ? uri.pin : { kind: 'file', path };
}
