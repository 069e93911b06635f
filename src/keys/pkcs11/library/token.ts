import type { Cancellation } from '../../../cancellation.ts';
import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { formatUri, type PinSource, type TokenSelector } from '../../config/pkcs11-uri.ts';
import { CKF } from '../protocol/constants.ts';
import { operations, type TokenSlot } from '../protocol/operations.ts';
import type { TokenInfo } from '../protocol/values.ts';
import { LostError, lossOf, Pkcs11Error, toServiceError } from './ckr.ts';
import type { Pkcs11Library } from './library.ts';
import type { PinGuard } from './pin-guard.ts';
import { readPin } from './pin-source.ts';
import { findToken, isSelected } from './slots.ts';
import { TokenSessions } from './token-sessions.ts';

const maxSessions = 4;
/** A call that fails because of an invalid handle is repeated; up to three causes can follow one another. */
const maxAttempts = 4;
/** How long all calls fail with the error of a failed connection before the next try. */
const retryMs = 1_000;
/** The least interval between restarts of a library for a missing token. */
const restartPauseMs = 5_000;

/** A token and how to log in to it. */
export interface TokenAddress {
  readonly library: Pkcs11Library;
  readonly selector: TokenSelector;
  readonly pin: PinSource | undefined;
}

interface Connection {
  readonly found: TokenSlot;
  readonly sessions: TokenSessions;
  readonly libraryGeneration: number;
}

/** What an attempt at some work used. */
interface Attempt {
  readonly connection: Connection | undefined;
  readonly generation: number | undefined;
}

/** Called with the reason when a token becomes unusable, and with undefined when it is usable again. Must not throw. */
export type TokenListener = (failure: unknown) => void;

/** Work with the sessions of a token that is logged in. */
export type Work<T> = (sessions: TokenSessions) => Promise<T>;

/** The outcome of an operation that logged in: whatever its failure, the PIN was accepted. */
type Accepted<T> = { readonly result: T } | { readonly error: unknown };

/**
 * A token, connected on first use and reconnected after a loss: for a lost session it opens a new one and logs in;
 * for a lost token it restarts the library and searches for the token once. Until then all calls are Unavailable.
 */
export class Token implements Disposable {
  readonly name: string;
  readonly #library: Pkcs11Library;
  readonly #selector: TokenSelector;
  readonly #pin: PinSource | undefined;
  readonly #guard: PinGuard;
  #generation = 0;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #failure: { readonly error: unknown; readonly at: number } | undefined;
  #onChange: TokenListener = () => undefined;
  readonly #ignoreEnd: () => void;
  #isClosed = false;

  constructor({ library, selector, pin }: TokenAddress, guard: PinGuard) {
    this.name = formatUri(selector);
    this.#library = library;
    this.#selector = selector;
    this.#pin = pin;
    this.#guard = guard;
    this.#ignoreEnd = library.onEnd((failure) => this.#libraryEnded(failure));
  }

  /** Whether a selector matches this token, which must be connected, in the same library. */
  isSelectedBy(library: Pkcs11Library, selector: TokenSelector): boolean {
    const connection = this.#connected();
    if (library !== this.#library) return false;
    return connection !== undefined && isSelected(connection.found, selector);
  }

  /** Whether handles of this generation are valid now. */
  holds(generation: number): boolean {
    return generation === this.#generation && this.#connected() !== undefined;
  }

  /** Object handles of an older generation are invalid. */
  get generation(): number {
    return this.#generation;
  }

  /** Reports every change from now on, before the call that detected it returns. */
  onChange(listener: TokenListener): void {
    this.#onChange = listener;
  }

  /**
   * Runs work with the sessions of the token. Repeats it after the loss of session, object handle or token, so a failed
   * run must have no lasting effects.
   */
  async use<T>(context: () => string, work: Work<T>): Promise<T> {
    // of the handles with which the work began; each connection has handles of its own
    let generation: number | undefined;
    for (let attempt = 1; ; attempt++) {
      let connection: Connection | undefined;
      try {
        connection = this.#connected() ?? (await this.#connect());
        generation ??= this.#generation;
        return await work(connection.sessions);
      } catch (error) {
        const canRetry =
          attempt < maxAttempts && (await this.#recover(error, { connection, generation }));
        if (!canRetry) throw toServiceError(error, `${context()}: ${this.name}`);
        if (lossOf(error) !== 'object') generation = undefined;
      }
    }
  }

  /**
   * Throws when an object that was not found may exist nevertheless: a removed token lists no objects, and neither
   * does a session that is no longer logged in.
   */
  async confirmAbsence(): Promise<void> {
    const connection = this.#connected();
    if (connection === undefined) throw new LostError('session');
    const required = (connection.found.info.flags & CKF.LOGIN_REQUIRED) !== 0;
    // at once, since each of them is a call
    const [isUser] = await Promise.all([
      connection.sessions.isUser(),
      this.#tokenInfo(connection.found),
    ]);
    if (required && !isUser) throw new LostError('session');
  }

  /**
   * Runs an operation that includes a login, with the PIN of the token and the same guard. The signal cancels it only
   * while it is queued: once the PIN was sent, the outcome must be known.
   */
  async useWithPin<T>(operation: (pin: Buffer) => Promise<T>, signal?: Cancellation): Promise<T> {
    const connection = this.#connected();
    if (connection === undefined) throw new LostError('session');
    const outcome = await this.#guard.login<Accepted<T>>({
      token: connection.found.info,
      tokenInfo: () => this.#tokenInfo(connection.found),
      pin: await requiredPin(this.#pin),
      signal,
      attempt: async (pin) => {
        try {
          return { result: await operation(pin) };
        } catch (error) {
          if (!isAfterLogin(error)) throw error;
          return { error };
        }
      },
    });
    if ('error' in outcome) throw outcome.error;
    return outcome.result;
  }

  /** Closes the sessions, also those that are being opened: it does not wait, since the library may hang. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#ignoreEnd();
    this.#disconnect(this.#connection);
  }

  #connected(): Connection | undefined {
    const connection = this.#connection;
    if (connection === undefined || !this.#library.open) return undefined;
    return connection.libraryGeneration === this.#library.generation ? connection : undefined;
  }

  /** Whether to retry after this failure. */
  async #recover(error: unknown, { connection, generation }: Attempt): Promise<boolean> {
    const loss = lossOf(error);
    if (loss === undefined) return false;
    if (loss === 'reading') return true;
    if (loss === 'object') {
      // once for all calls that it fails: each time, all handles are looked up again
      if (this.#generation === generation) this.#generation++;
      return true;
    }
    if (loss === 'token' && connection !== undefined && (await this.#isPresent(connection))) {
      return false;
    }
    this.#disconnect(connection);
    if (loss === 'token') await this.#recordingFailure(() => this.#library.restart(restartPauseMs));
    return true;
  }

  async #isPresent({ found }: Connection): Promise<boolean> {
    try {
      await this.#tokenInfo(found);
      return true;
    } catch {
      return false;
    }
  }

  /** The current state of the token. A loss when its slot holds another one. */
  async #tokenInfo({ slot, info: before }: TokenSlot): Promise<TokenInfo> {
    const info = await this.#library.call(operations.tokenInfo, { slot });
    if (info.serialNumber !== before.serialNumber) throw new LostError('token');
    return info;
  }

  #disconnect(connection: Connection | undefined): void {
    connection?.sessions.close();
    if (this.#connection === connection) this.#connection = undefined;
  }

  #libraryEnded(failure: ServiceError): void {
    if (this.#connection === undefined) return;
    this.#disconnect(this.#connection);
    this.#setFailure(failure);
  }

  async #connect(): Promise<Connection> {
    const failure = this.#failure;
    if (failure !== undefined && performance.now() - failure.at < retryMs) throw failure.error;
    this.#connecting ??= this.#connectNow().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connectNow(): Promise<Connection> {
    this.#disconnect(this.#connection);
    return this.#recordingFailure(async () => {
      const pin = await readPin(this.#pin);
      await this.#library.ready();
      const found = await this.#find();
      const connection = await this.#open(found, pin);
      if (this.#isClosed || connection.libraryGeneration !== this.#library.generation) {
        connection.sessions.close();
        throw new LostError('session');
      }
      this.#connection = connection;
      this.#generation++;
      this.#setFailure(undefined);
      return connection;
    });
  }

  /** Runs a step of connecting; its failure becomes the failure of the token. */
  async #recordingFailure<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      const failure = toServiceError(error, this.name);
      this.#setFailure(failure);
      throw failure;
    }
  }

  #setFailure(failure: unknown): void {
    const before = this.#failure?.error;
    this.#failure = failure === undefined ? undefined : { error: failure, at: performance.now() };
    if (describeError(before) !== describeError(failure)) this.#onChange(failure);
  }

  async #find(): Promise<TokenSlot> {
    const find = async (): Promise<TokenSlot> =>
      findToken(await this.#library.call(operations.tokens, undefined), this.#selector);
    try {
      return await find();
    } catch (error) {
      // some libraries detect tokens only when they are initialized
      if (!isServiceError(error, 'Unavailable') && lossOf(error) === undefined) throw error;
      await this.#library.restart(restartPauseMs);
      return find();
    }
  }

  async #open(found: TokenSlot, pin: string | undefined): Promise<Connection> {
    const needsLogin = (found.info.flags & CKF.LOGIN_REQUIRED) !== 0;
    if (needsLogin && pin === undefined) throw noPin();
    const sessions = await this.#openSessions(found);
    try {
      if (needsLogin && pin !== undefined) await this.#logIn(found, sessions, pin);
    } catch (error) {
      sessions.close();
      throw error;
    }
    return { found, sessions, libraryGeneration: sessions.libraryGeneration };
  }

  #openSessions({ slot, info }: TokenSlot): Promise<TokenSessions> {
    const isWritable = (info.flags & CKF.WRITE_PROTECTED) === 0;
    const limit = sessionLimit(isWritable ? info.maxRwSessionCount : info.maxSessionCount);
    return TokenSessions.open(this.#library, { slot, isWritable, limit });
  }

  #logIn(found: TokenSlot, sessions: TokenSessions, pin: string): Promise<void> {
    const tokenInfo = () => this.#tokenInfo(found);
    const attempt = (bytes: Buffer): Promise<void> => sessions.login(bytes);
    return this.#guard.login({ token: found.info, tokenInfo, pin, attempt });
  }
}

/** Whether an operation that logs in for itself failed after that. */
function isAfterLogin(error: unknown): boolean {
  return error instanceof Pkcs11Error && error.call !== 'C_Login' && !error.call.endsWith('Init');
}

async function requiredPin(source: PinSource | undefined): Promise<string> {
  const pin = await readPin(source);
  if (pin === undefined) throw noPin();
  return pin;
}

function noPin(): ServiceError {
  return new ServiceError('Unavailable', 'no PIN of the token is configured');
}

/** The limit of the token, if it is lower than ours. 0 means unlimited, and the largest number unknown. */
function sessionLimit(limit: number): number {
  return limit > 0 && limit < maxSessions ? limit : maxSessions;
}
