import type { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import type { Algorithm, PairAlgorithm, SymmetricAlgorithm, Usage } from './algorithm.ts';
import type { SignRequest } from './mechanism.ts';

/** Where keys are held. */
export type StoreKind = 'pkcs11' | 'file';

/** How a key came to be: made here, imported, named by the configuration, or found in the token. */
export type Origin = 'generated' | 'imported' | 'preloaded' | 'foreign';

/** What is known of a key; nothing of it is secret. */
export interface KeyInfo {
  readonly id: KeyId;
  readonly kind: 'pair' | 'symmetric';
  /** `undefined` when the key cannot be read. */
  readonly algorithm: Algorithm | undefined;
  readonly usages: readonly Usage[];
  readonly store: StoreKind;
  readonly origin: Origin;
  readonly exportable: boolean;
  /** Whether keys derived from this base key may be exported. */
  readonly exportDerived: boolean;
  readonly state: 'ok' | 'damaged' | 'unavailable';
  /** Why the state is not `ok`; with an empty state it is absent. */
  readonly reason?: string;
  readonly created: Date | undefined;
  /** The DER SubjectPublicKeyInfo of a pair. */
  readonly spki: Buffer | undefined;
}

/** An object that a store holds and does not offer. */
export interface Ignored {
  readonly label: string;
  readonly reason: string;
}

/** All that a store holds. */
export interface Listing {
  readonly keys: readonly KeyInfo[];
  readonly ignored: readonly Ignored[];
  /** Why not everything could be looked at; what was known of the rest is listed as unavailable. */
  readonly failure: ServiceError | undefined;
}

/** What a new key is to be. */
export interface KeyAttributes {
  readonly usages: readonly Usage[];
  readonly exportable: boolean;
  readonly exportDerived: boolean;
}

/** Key material from outside; whoever made it wipes `bytes` afterwards. */
export type Material =
  | { readonly kind: 'raw'; readonly algorithm: SymmetricAlgorithm; readonly bytes: Buffer }
  | { readonly kind: 'pkcs8'; readonly algorithm: PairAlgorithm; readonly bytes: Buffer };

/** What AES-GCM is asked for. */
export interface CipherRequest {
  readonly nonce: Buffer;
  readonly aad: Buffer;
}

/**
 * A key of a store, and what it does. It does not look at rules: whether it may be used so is decided by the caller. All
 * is Unavailable when its state is not `ok`, and NotFound when it has gone since it was returned.
 */
export interface Key {
  readonly info: KeyInfo;
  /** The signature or MAC; of ECDSA in DER. NotSupported when key or token cannot. */
  sign(request: SignRequest, signal: AbortSignal): Promise<Buffer>;
  /** Ciphertext and tag of AES-256-GCM. */
  encrypt(plain: Buffer, request: CipherRequest, signal: AbortSignal): Promise<Buffer>;
  /** The plaintext of ciphertext and tag; undefined when they were not made so. */
  decrypt(sealed: Buffer, request: CipherRequest, signal: AbortSignal): Promise<Buffer | undefined>;
  /** The message that RSA-OAEP with SHA-256 and an empty label hides; undefined when there is none. */
  decryptOaep(block: Buffer, signal: AbortSignal): Promise<Buffer | undefined>;
  /** The raw bytes or the DER PKCS#8, for the bus. NotSupported where keys never leave. */
  export(signal: AbortSignal): Promise<Buffer>;
  /** Removes it for good. */
  delete(signal: AbortSignal): Promise<void>;
}

/**
 * A place that holds keys. Everything is Unavailable while it cannot be listed. It does not look at rules: whether a
 * key may be made or replaced is decided by its caller.
 */
export interface KeyStore extends AsyncDisposable {
  readonly kind: StoreKind;
  /** All keys. */
  list(signal: AbortSignal): Promise<Listing>;
  /** One key, undefined when the store certainly does not hold it. */
  get(id: KeyId, signal: AbortSignal): Promise<Key | undefined>;
  /** Makes a pair of the first algorithm of the list that it can make. NotSupported when it can make none. */
  createPair(
    id: KeyId,
    algorithms: readonly PairAlgorithm[],
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo>;
  /** Makes a symmetric key. */
  createSymmetric(
    id: KeyId,
    algorithm: SymmetricAlgorithm,
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo>;
  /** Stores material; a key that has the id already is replaced in one step. */
  importKey(
    id: KeyId,
    material: Material,
    attributes: KeyAttributes,
    signal: AbortSignal,
  ): Promise<KeyInfo>;
}
