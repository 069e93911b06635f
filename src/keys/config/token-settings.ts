import { type KeyId, parseKeyId } from '../../ids.ts';
import type { KeysConfig, TokenConfig } from './config.ts';
import {
  type ObjectSelector,
  type PinSource,
  type Pkcs11Uri,
  parseUri,
  type TokenSelector,
} from './pkcs11-uri.ts';

/** A token: its library, its selector and its PIN. */
export interface TokenSettings {
  readonly libraryPath: string;
  readonly selector: TokenSelector;
  readonly pin: PinSource | undefined;
}

/** The tokens of a configuration. */
export interface ConfiguredTokens {
  /** The token in which keys are created. */
  readonly base: TokenSettings | undefined;
  readonly preloaded: ReadonlyMap<
    KeyId,
    { readonly token: TokenSettings; readonly selector: ObjectSelector }
  >;
}

/** The tokens of the base slot and of preloaded keys; the entry in `tokens` that matches a URI completes it. */
export function configuredTokens(config: KeysConfig): ConfiguredTokens {
  const entries = Object.values(config.tokens).map((token) => ({
    token,
    uri: parseUri(token.uri),
  }));
  const settingsOf = (uri: Pkcs11Uri): TokenSettings => {
    const entry = entries.find((one) => covers(one.uri.tokenSelector, uri.tokenSelector));
    const path = uri.modulePath ?? entry?.token.module ?? entry?.uri.modulePath;
    return {
      libraryPath: path ?? config.pkcs11_lib_path ?? '',
      selector: uri.tokenSelector,
      pin: uri.pin ?? (entry && pinOf(entry.token, entry.uri)),
    };
  };
  const preloaded = Object.entries(config.preloaded).flatMap(([id, source]) => {
    if (source.kind === 'file') return [];
    const uri = parseUri(source.uri);
    return [[parseKeyId(id), { token: settingsOf(uri), selector: uri.objectSelector }] as const];
  });
  const base = config.pkcs11_base_slot;
  return {
    base: base === undefined ? undefined : settingsOf(parseUri(base)),
    preloaded: new Map(preloaded),
  };
}

/** Whether a selector has all attributes of a more general one. */
function covers(general: TokenSelector, special: TokenSelector): boolean {
  const attributes = new Map<string, unknown>(Object.entries(special));
  return Object.entries(general).every(([name, value]) => attributes.get(name) === value);
}

function pinOf({ pin_file: path }: TokenConfig, uri: Pkcs11Uri): PinSource | undefined {
  return path === undefined ? uri.pin : { kind: 'file', path };
}
