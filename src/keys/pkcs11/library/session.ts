import type { Handle, Mechanism, PKCS11, Template } from 'pkcs11js';
import { ckrName } from './ckr.ts';
import type { InlinePolicy } from './inline-policy.ts';

/** The longest signature: that of an RSA key of 8192 bits. */
const resultBytes = 1024;

/** An empty buffer with an address: pkcs11js passes NULL for any other, which tokens reject as a missing argument. */
const emptyInput = Buffer.alloc(1).subarray(0, 0);

/** The calls of pkcs11js that take data and fill a buffer. */
type Transform = (session: Handle, input: Buffer, output: Buffer) => Buffer | Promise<Buffer>;

/** Copies the result and wipes the original: the MAC of a base key is a key. */
function takeResult(result: Buffer): Buffer {
  const own = Buffer.from(result);
  result.fill(0);
  return own;
}

/** Logs a session in for the operation that it has initialized. */
export type ContextLogin = (session: Session) => Promise<void>;

/** The mechanism and attributes of a new key pair. */
export interface PairTemplate {
  readonly mechanism: Mechanism;
  readonly publicKey: Template;
  readonly privateKey: Template;
}

/** The mechanism and attributes of a new symmetric key. */
export interface SecretTemplate {
  readonly mechanism: Mechanism;
  readonly key: Template;
}

/** The mechanism and key of an operation. */
export interface Operation {
  readonly mechanism: Mechanism;
  readonly key: Handle;
  /** For a key with CKA_ALWAYS_AUTHENTICATE. */
  readonly login?: ContextLogin | undefined;
}

/** The mechanism and key of a signature. */
export interface SignOperation extends Operation {
  readonly inline: InlinePolicy;
}

/**
 * A session, for one operation at a time. Most calls run on a thread of libuv. pkcs11js holds no reference to the
 * buffers of such a call, so the session holds one until the call ends.
 */
export class Session {
  readonly handle: Handle;
  /** Set when the session is unusable from now on. */
  broken = false;
  /** The buffers of the running call; never read, only protected from garbage collection. */
  held: readonly Buffer[] = [];
  readonly #api: PKCS11;
  readonly #output = Buffer.alloc(resultBytes);

  constructor(api: PKCS11, handle: Handle) {
    this.#api = api;
    this.handle = handle;
  }

  /** Returns a signature or MAC. */
  async sign({ mechanism, key, inline, login }: SignOperation, data: Buffer): Promise<Buffer> {
    this.#api.C_SignInit(this.handle, mechanism, key);
    await this.#logIn(login);
    const transform: Transform = inline.isInline
      ? (...call) => inline.time(() => this.#api.C_Sign(...call))
      : (...call) => inline.timeAsync(() => this.#api.C_SignAsync(...call));
    return this.#run(transform, data, this.#output);
  }

  /** Returns a ciphertext. */
  async encrypt({ mechanism, key, login }: Operation, data: Buffer): Promise<Buffer> {
    this.#api.C_EncryptInit(this.handle, mechanism, key);
    await this.#logIn(login);
    const output = Buffer.alloc(data.length + resultBytes);
    return this.#run((...call) => this.#api.C_EncryptAsync(...call), data, output);
  }

  /** Returns a plaintext, and wipes the buffer that the token wrote it to. */
  async decrypt({ mechanism, key, login }: Operation, data: Buffer): Promise<Buffer> {
    this.#api.C_DecryptInit(this.handle, mechanism, key);
    await this.#logIn(login);
    const output = Buffer.alloc(data.length + resultBytes);
    try {
      return await this.#run((...call) => this.#api.C_DecryptAsync(...call), data, output);
    } finally {
      output.fill(0);
    }
  }

  async generatePair({ mechanism, publicKey, privateKey }: PairTemplate): Promise<void> {
    await this.#api.C_GenerateKeyPairAsync(this.handle, mechanism, publicKey, privateKey);
  }

  async generateKey({ mechanism, key }: SecretTemplate): Promise<void> {
    await this.#api.C_GenerateKeyAsync(this.handle, mechanism, key);
  }

  /** Creates an object in the token. */
  create(template: Template): void {
    this.#api.C_CreateObject(this.handle, template);
  }

  destroy(object: Handle): void {
    this.#api.C_DestroyObject(this.handle, object);
  }

  /** Returns the handles of all matching objects. */
  find(template: Template): readonly Handle[] {
    const found: Handle[] = [];
    this.#api.C_FindObjectsInit(this.handle, template);
    try {
      for (;;) {
        const some = this.#api.C_FindObjects(this.handle, 64);
        found.push(...some);
        if (some.length < 64) return found;
      }
    } finally {
      this.#api.C_FindObjectsFinal(this.handle);
    }
  }

  /** Returns attributes that every object of the kind has. */
  attributes(object: Handle, types: readonly number[]): readonly Buffer[] {
    const template = types.map((type) => ({ type }));
    return this.#api
      .C_GetAttributeValue(this.handle, object, template)
      .map(({ value }) => (Buffer.isBuffer(value) ? value : Buffer.alloc(0)));
  }

  /** Returns an attribute; undefined when the object does not have it or does not reveal it. */
  attribute(object: Handle, type: number): Buffer | undefined {
    try {
      return this.attributes(object, [type])[0];
    } catch (error) {
      const name = ckrName(error);
      if (name === 'CKR_ATTRIBUTE_TYPE_INVALID' || name === 'CKR_ATTRIBUTE_SENSITIVE') {
        return undefined;
      }
      throw error;
    }
  }

  async #logIn(login: ContextLogin | undefined): Promise<void> {
    if (login === undefined) return;
    try {
      await login(this);
    } catch (error) {
      // only closing the session ends the initialized operation
      this.broken = true;
      throw error;
    }
  }

  async #run(transform: Transform, data: Buffer, output: Buffer): Promise<Buffer> {
    const input = data.length === 0 ? emptyInput : data;
    this.held = [input, output];
    try {
      return takeResult(await transform(this.handle, input, output));
    } catch (error) {
      const name = ckrName(error);
      // the arguments were rejected before the operation was checked: it may still be active
      if (name === 'CKR_ARGUMENTS_BAD') this.broken = true;
      if (name !== 'CKR_BUFFER_TOO_SMALL') throw error;
      // the operation is still active and would block the session
      return await this.#runAgain(transform, input);
    } finally {
      this.held = [];
    }
  }

  async #runAgain(transform: Transform, input: Buffer): Promise<Buffer> {
    const output = Buffer.alloc(input.length + 64 * resultBytes);
    this.held = [input, output];
    try {
      return takeResult(await transform(this.handle, input, output));
    } catch (error) {
      this.broken = ckrName(error) === 'CKR_BUFFER_TOO_SMALL';
      throw error;
    } finally {
      output.fill(0);
    }
  }
}
