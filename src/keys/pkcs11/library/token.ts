import type { PKCS11, TokenInfo } from 'pkcs11js';
import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { formatUri, type PinSource, type TokenSelector } from '../../config/pkcs11-uri.ts';
import { LostError, lossOf, toServiceError } from './ckr.ts';
import { CKF, CKU_CONTEXT_SPECIFIC } from './constants.ts';
import type { Pkcs11Library } from './library.ts';
import { isUser, login, readPin } from './login.ts';
import type { PinGuard } from './pin-guard.ts';
import type { Session } from './session.ts';
import { SessionPool } from './session-pool.ts';
import { type FoundToken, findToken, isSelected } from './slots.ts';

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
  readonly found: FoundToken;
  readonly pool: SessionPool;
  readonly libraryGeneration: number;
}

/** Called with the reason when a token becomes unusable, and with undefined when it is usable again. Must not throw. */
export type TokenListener = (failure: unknown) => void;

/** Work with an open session of a token that is logged in. */
export type Work<T> = (session: Session, api: PKCS11) => Promise<T> | T;

/**
 * A token, connected on first use and reconnected after a loss: for a lost session it opens a new one and logs in;
 * for a lost token it restarts the library and searches for the token once. Until then all calls are Unavailable.
 */
export class Token implements AsyncDisposable {
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

  constructor({ library, selector, pin }: TokenAddress, guard: PinGuard) {
    this.name = formatUri(selector);
    this.#library = library;
    this.#selector = selector;
    this.#pin = pin;
    this.#guard = guard;
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
   * Runs work in a session that nothing else uses meanwhile. Repeats it after the loss of session, object handle or
   * token, so a failed run must have no lasting effects.
   */
  async use<T>(context: () => string, work: Work<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let connection: Connection | undefined;
      try {
        connection = this.#connected() ?? (await this.#connect());
        const session = connection.pool.take() ?? (await connection.pool.wait(signal));
        return await this.#within(connection, session, work);
      } catch (error) {
        const canRetry = attempt < maxAttempts && (await this.#recover(error, connection));
        if (!canRetry) throw toServiceError(error, `${context()}: ${this.name}`);
      }
    }
  }

  /**
   * Throws when an object that was not found may exist nevertheless: a removed token lists no objects, and neither
   * does a session that is no longer logged in.
   */
  confirmAbsence(session: Session): void {
    const connection = this.#connected();
    if (connection === undefined) throw new LostError('session');
    this.#confirmPresence(connection);
    const required = (connection.found.info.flags & CKF.LOGIN_REQUIRED) !== 0;
    if (required && !isUser(this.#library, session.handle)) throw new LostError('session');
  }

  /** Logs a session in for the operation that it has initialized, with the PIN of the token and the same guard. */
  async logInForOperation(session: Session): Promise<void> {
    const connection = this.#connected();
    if (connection === undefined) throw new LostError('session');
    const pin = await requiredPin(this.#pin);
    const tokenInfo = () => this.#tokenInfo(connection.found);
    const { api } = this.#library;
    await this.#guard.login({
      tokenInfo,
      pin,
      attempt: () => api.C_Login(session.handle, CKU_CONTEXT_SPECIFIC, pin),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connecting?.catch(() => undefined);
    this.#disconnect(this.#connection);
  }

  async #within<T>(connection: Connection, session: Session, work: Work<T>): Promise<T> {
    if (this.#connected() !== connection) {
      // the library began a restart while this waited for the session
      connection.pool.release(session);
      throw new LostError('session');
    }
    this.#library.enter();
    try {
      return await work(session, this.#library.api);
    } catch (error) {
      if (lossOf(error) === 'session') session.broken = true;
      throw error;
    } finally {
      connection.pool.release(session);
      this.#library.leave();
    }
  }

  #connected(): Connection | undefined {
    const connection = this.#connection;
    if (connection === undefined || !this.#library.open) return undefined;
    return connection.libraryGeneration === this.#library.generation ? connection : undefined;
  }

  /** Whether to retry after this failure. */
  async #recover(error: unknown, connection: Connection | undefined): Promise<boolean> {
    const loss = lossOf(error);
    if (loss === undefined) return false;
    if (loss === 'object') {
      this.#generation++;
      return true;
    }
    if (loss === 'token' && connection !== undefined && this.#isPresent(connection)) return false;
    this.#disconnect(connection);
    if (loss === 'token') await this.#recordingFailure(() => this.#library.restart(restartPauseMs));
    return true;
  }

  #isPresent(connection: Connection): boolean {
    try {
      this.#confirmPresence(connection);
      return true;
    } catch {
      return false;
    }
  }

  #confirmPresence({ found }: Connection): void {
    this.#tokenInfo(found);
  }

  /** The current state of the token. A loss when its slot holds another one. */
  #tokenInfo({ slot, info: before }: FoundToken): TokenInfo {
    const info = this.#library.api.C_GetTokenInfo(slot);
    if (info.serialNumber !== before.serialNumber) throw new LostError('token');
    return info;
  }

  #disconnect(connection: Connection | undefined): void {
    connection?.pool.close();
    if (this.#connection === connection) this.#connection = undefined;
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
      this.#connection = await this.#open(found, pin);
      this.#generation++;
      this.#setFailure(undefined);
      return this.#connection;
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

  async #find(): Promise<FoundToken> {
    try {
      return findToken(this.#library.api, this.#selector);
    } catch (error) {
      // some libraries detect tokens only when they are initialized
      if (!isServiceError(error, 'Unavailable') && lossOf(error) === undefined) throw error;
      await this.#library.restart(restartPauseMs);
      return findToken(this.#library.api, this.#selector);
    }
  }

  async #open(found: FoundToken, pin: string | undefined): Promise<Connection> {
    if ((found.info.flags & CKF.LOGIN_REQUIRED) === 0) return this.#openPool(found, undefined);
    if (pin === undefined) throw noPin();
    const tokenInfo = () => this.#tokenInfo(found);
    const attempt = () => this.#openPool({ ...found, info: tokenInfo() }, pin);
    return this.#guard.login({ tokenInfo, pin, attempt });
  }

  #openPool(found: FoundToken, pin: string | undefined): Connection {
    const { info, slot } = found;
    const writable = (info.flags & CKF.WRITE_PROTECTED) === 0;
    const flags = CKF.SERIAL_SESSION | (writable ? CKF.RW_SESSION : 0);
    const limit = sessionLimit(writable ? info.maxRwSessionCount : info.maxSessionCount);
    const pool = new SessionPool(this.#library.api, { slot, flags, limit });
    const session = pool.take();
    try {
      if (session !== undefined && pin !== undefined) login(this.#library, session.handle, pin);
    } catch (error) {
      pool.close();
      throw error;
    } finally {
      if (session !== undefined) pool.release(session);
    }
    return { found, pool, libraryGeneration: this.#library.generation };
  }
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
