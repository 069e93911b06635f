import type { Cancellation } from '../cancellation.ts';
import type { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import type { Algorithm, PairAlgorithm, SymmetricAlgorithm, Usage } from './algorithm.ts';
import type { SignRequest } from './mechanism.ts';

/** A kind of store. */
export type StoreKind = 'pkcs11' | 'file';

/** The origin of a key: generated here, imported, named by the configuration, or found in the token. */
export type Origin = 'generated' | 'imported' | 'preloaded' | 'foreign';

/** The description of a key; contains no secret. */
export interface KeyInfo {
  readonly id: KeyId;
  readonly kind: 'pair' | 'symmetric';
  /** Undefined when the key is unreadable. */
  readonly algorithm: Algorithm | undefined;
  readonly usages: readonly Usage[];
  readonly store: StoreKind;
  readonly origin: Origin;
  readonly exportable: boolean;
  /** Whether keys derived from this base key may be exported. */
  readonly exportDerived: boolean;
  readonly state: 'ok' | 'damaged' | 'unavailable';
  /** Why the state is not `ok`. */
  readonly reason?: string;
  readonly created: Date | undefined;
  /** The DER SubjectPublicKeyInfo of a pair. */
  readonly spki: Buffer | undefined;
}

/** An object that a store holds but does not publish. */
export interface Ignored {
  readonly label: string;
  readonly reason: string;
}

/** The content of a store. */
export interface Listing {
  readonly keys: readonly KeyInfo[];
  readonly ignored: readonly Ignored[];
  /** Why the listing is incomplete; keys known before are then listed as unavailable. */
  readonly failure: ServiceError | undefined;
}

/** The attributes of a new key. */
export interface KeyAttributes {
  readonly usages: readonly Usage[];
  readonly exportable: boolean;
  readonly exportDerived: boolean;
}

/** Imported key material; its creator wipes `bytes` after use. */
export type Material =
  | { readonly kind: 'raw'; readonly algorithm: SymmetricAlgorithm; readonly bytes: Buffer }
  | { readonly kind: 'pkcs8'; readonly algorithm: PairAlgorithm; readonly bytes: Buffer };

/** The parameters of AES-GCM. */
export interface CipherRequest {
  readonly nonce: Buffer;
  readonly aad: Buffer;
}

/**
 * A key of a store, and its operations. It checks no rules: the caller decides whether it may be used so. Every
 * operation throws Unavailable when the state is not `ok`, and NotFound when the key was deleted since.
 */
export interface Key {
  readonly info: KeyInfo;
  /** Returns the signature (ECDSA: in DER) or MAC. NotSupported when key or token cannot. */
  sign(request: SignRequest, signal: Cancellation): Promise<Buffer>;
  /** Returns ciphertext and tag of AES-256-GCM. */
  encrypt(plain: Buffer, request: CipherRequest, signal: Cancellation): Promise<Buffer>;
  /** Returns the plaintext; undefined when ciphertext, tag and request do not match. */
  decrypt(
    sealed: Buffer,
    request: CipherRequest,
    signal: Cancellation,
  ): Promise<Buffer | undefined>;
  /** Returns the message of RSA-OAEP with SHA-256 and an empty label; undefined when there is none. */
  decryptOaep(block: Buffer, signal: Cancellation): Promise<Buffer | undefined>;
  /** Returns the raw bytes or the DER PKCS#8. NotSupported for stores that never export keys. */
  export(signal: Cancellation): Promise<Buffer>;
  delete(signal: Cancellation): Promise<void>;
}

/**
 * A store of keys. All but `list` is Unavailable while it cannot be listed. It checks no rules: the caller decides
 * whether a key may be created or replaced.
 */
export interface KeyStore extends AsyncDisposable {
  readonly kind: StoreKind;
  list(signal: Cancellation): Promise<Listing>;
  /** Returns a key, undefined when the store certainly does not hold it. */
  get(id: KeyId, signal: Cancellation): Promise<Key | undefined>;
  /** Creates a pair of the first algorithm of the list that it supports. NotSupported when it supports none. */
  createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo>;
  createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo>;
  /** Stores material; an existing key of the id is replaced atomically. */
  importKey(
    id: KeyId,
    material: Material,
    attributes: KeyAttributes,
    signal: Cancellation,
  ): Promise<KeyInfo>;
}
