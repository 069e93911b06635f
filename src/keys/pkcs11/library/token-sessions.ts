import type { Cancellation } from '../../../cancellation.ts';
import {
  type FoundObject,
  type KeyOperation,
  type Operation,
  operations,
  type PairTemplate,
  type Query,
  type SecretTemplate,
  type Values,
} from '../protocol/operations.ts';
import type { Handle, Template } from '../protocol/values.ts';
import { cancelled, LostError } from './ckr.ts';
import type { Pkcs11Library } from './library.ts';

/** Enough to keep the process busy; others wait here, where they can be cancelled. */
const maxInFlight = 16;

/** The token, and how many sessions of which kind. */
export interface SessionOptions {
  readonly slot: Handle;
  readonly isWritable: boolean;
  readonly limit: number;
}

interface Waiter {
  readonly start: () => void;
  readonly fail: (error: unknown) => void;
}

/**
 * The sessions with a token that is logged in. Every call throws LostError when they are closed, also because the
 * library was restarted.
 */
export class TokenSessions {
  /** That of the library: another process gives the number of this pool to other sessions. */
  readonly libraryGeneration: number;
  readonly #library: Pkcs11Library;
  readonly #pool: number;
  readonly #waiters = new Set<Waiter>();
  #inFlight = 0;
  #isClosed = false;

  private constructor(library: Pkcs11Library, pool: number, libraryGeneration: number) {
    this.#library = library;
    this.#pool = pool;
    this.libraryGeneration = libraryGeneration;
  }

  /** Opens up to `limit` sessions with the token of a slot, the first one now. */
  static async open(library: Pkcs11Library, options: SessionOptions): Promise<TokenSessions> {
    const { generation } = library;
    const pool = await library.call(operations.open, options);
    return new TokenSessions(library, pool, generation);
  }

  /** Logs in as the user, unless the process is logged in to the token. */
  login(pin: Buffer): Promise<void> {
    return this.#call(operations.login, { pool: this.#pool, pin });
  }

  /** Whether private objects are visible. */
  isUser(): Promise<boolean> {
    return this.#call(operations.isUser, { pool: this.#pool });
  }

  /** Returns the objects that each query finds. */
  find(
    queries: readonly Query[],
    signal?: Cancellation,
  ): Promise<readonly (readonly FoundObject[])[]> {
    return this.#call(operations.find, { pool: this.#pool, queries }, signal);
  }

  /** Returns an attribute of each object. */
  read(objects: readonly Handle[], attribute: number, signal?: Cancellation): Promise<Values> {
    return this.#call(operations.read, { pool: this.#pool, objects, attribute }, signal);
  }

  /** Returns a signature or MAC. */
  sign(use: KeyOperation, signal?: Cancellation): Promise<Buffer> {
    return this.#call(operations.sign, { pool: this.#pool, ...use }, signal);
  }

  /** Returns a ciphertext. */
  encrypt(use: KeyOperation, signal?: Cancellation): Promise<Buffer> {
    return this.#call(operations.encrypt, { pool: this.#pool, ...use }, signal);
  }

  /** Returns a plaintext. */
  decrypt(use: KeyOperation, signal?: Cancellation): Promise<Buffer> {
    return this.#call(operations.decrypt, { pool: this.#pool, ...use }, signal);
  }

  generatePair(template: PairTemplate, signal?: Cancellation): Promise<void> {
    return this.#call(operations.generatePair, { pool: this.#pool, ...template }, signal);
  }

  generateKey(template: SecretTemplate, signal?: Cancellation): Promise<void> {
    return this.#call(operations.generateKey, { pool: this.#pool, ...template }, signal);
  }

  /** Creates an object in the token. */
  create(template: Template, signal?: Cancellation): Promise<void> {
    return this.#call(operations.create, { pool: this.#pool, template }, signal);
  }

  destroy(objects: readonly Handle[], signal?: Cancellation): Promise<void> {
    return this.#call(operations.destroy, { pool: this.#pool, objects }, signal);
  }

  /** Closes the sessions, each when its call has returned. Waiting callers get a LostError. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const waiter of this.#waiters) waiter.fail(new LostError('session'));
    this.#waiters.clear();
    if (this.libraryGeneration !== this.#library.generation) return;
    // closed already, together with the library, is fine
    this.#library.call(operations.close, { pool: this.#pool }).catch(() => undefined);
  }

  async #call<Request, Reply>(
    operation: Operation<Request, Reply>,
    request: Request,
    signal?: Cancellation,
  ): Promise<Reply> {
    if (this.#inFlight >= maxInFlight) await this.#turn(signal);
    const isLost = this.libraryGeneration !== this.#library.generation;
    if (this.#isClosed || isLost) throw new LostError('session');
    this.#inFlight++;
    return this.#library.call(operation, request, { signal, done: this.#done });
  }

  readonly #done = (): void => {
    this.#inFlight--;
    const [waiter] = this.#waiters;
    if (waiter === undefined) return;
    this.#waiters.delete(waiter);
    waiter.start();
  };

  #turn(signal: Cancellation | undefined): Promise<void> {
    if (signal?.aborted === true) throw cancelled();
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiters.delete(waiter);
        reject(cancelled());
      };
      const ended = (): void => signal?.removeEventListener('abort', abort);
      const waiter: Waiter = {
        start: () => {
          ended();
          resolve();
        },
        fail: (error) => {
          ended();
          reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }
}
