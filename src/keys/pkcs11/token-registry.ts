import type { KeyId } from '../../ids.ts';
import { formatUri, type ObjectSelector } from '../config/pkcs11-uri.ts';
import type { PinGuard } from './library/pin-guard.ts';
import { Token, type TokenAddress, type TokenListener } from './library/token.ts';
import type { KeyObject } from './reading/objects.ts';
import { isObjectSelected } from './token-keys.ts';

/** A key in a token to which the configuration gives an id. */
export interface PreloadedKey {
  readonly token: TokenAddress;
  readonly selector: ObjectSelector;
}

/** The configured tokens. */
export interface TokenLayout {
  /** Where keys are created, and found by their labels; without it there are only preloaded keys. */
  readonly base: TokenAddress | undefined;
  readonly preloaded: ReadonlyMap<KeyId, PreloadedKey>;
  readonly guard: PinGuard;
}

/** Maps keys to tokens: preloaded keys as configured, all others to the base slot. */
export class TokenRegistry implements Disposable {
  readonly base: Token | undefined;
  readonly #preloaded = new Map<KeyId, { readonly key: PreloadedKey; readonly token: Token }>();
  readonly #tokens = new Map<string, Token>();

  constructor({ base, preloaded, guard }: TokenLayout) {
    const keys = [...preloaded.values()].map(({ token }) => token);
    const addresses = base === undefined ? keys : [base, ...keys];
    // a token may be configured several times, and its PIN only once
    const pinOf = (name: string) =>
      addresses.find((one) => nameOf(one) === name && one.pin !== undefined)?.pin;
    const tokenAt = (address: TokenAddress): Token => {
      const name = nameOf(address);
      const token = this.#tokens.get(name) ?? new Token({ ...address, pin: pinOf(name) }, guard);
      this.#tokens.set(name, token);
      return token;
    };
    this.base = base && tokenAt(base);
    for (const [id, key] of preloaded) this.#preloaded.set(id, { key, token: tokenAt(key.token) });
  }

  get preloadedIds(): Iterable<KeyId> {
    return this.#preloaded.keys();
  }

  /** The object selector of a preloaded key, undefined for any other key. */
  selectorOf(id: KeyId): ObjectSelector | undefined {
    return this.#preloaded.get(id)?.key.selector;
  }

  /** The token of a key, undefined when none is configured for it. */
  tokenOf(id: KeyId): Token | undefined {
    return this.#preloaded.get(id)?.token ?? this.base;
  }

  /** Why an object of the base slot is not published under its label: the object or the label is a preloaded key's. */
  reservation(object: KeyObject): string | undefined {
    for (const [id, { key, token }] of this.#preloaded) {
      if (id === object.label) return 'its label is the id of a preloaded key';
      const { library, selector } = key.token;
      const here = token === this.base || this.base?.isSelectedBy(library, selector);
      if (here && isObjectSelected(object, key.selector)) return `it is the preloaded key "${id}"`;
    }
    return undefined;
  }

  /** Reports every change of a token. */
  onTokenChange(listener: TokenListener): void {
    for (const token of this.#tokens.values()) token.onChange(listener);
  }

  [Symbol.dispose](): void {
    for (const token of this.#tokens.values()) token[Symbol.dispose]();
  }
}

function nameOf({ library, selector }: TokenAddress): string {
  return `${library.path}\n${formatUri(selector)}`;
}
