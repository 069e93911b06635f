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
/** A call that fails because handles died is made again; three causes can follow one another. */
const maxAttempts = 4;
/** A failed connection answers everybody for so long before it is tried again. */
const retryMs = 1_000;
/** A library is started again for a token that is not there at most so often. */
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

/** Is told why a token cannot be used, or `undefined` when it can be again. Must not throw. */
export type TokenListener = (failure: unknown) => void;

/** What works with an open session of a token that is logged in. */
export type Work<T> = (session: Session, api: PKCS11) => Promise<T> | T;

/**
 * A token, connected when it is first used and again when it was lost: session gone → new session and login;
 * token gone → the library is started again and the token looked for once. Everything is Unavailable
 * meanwhile.
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

  /** Whether this is, as far as it is connected, the token that a selector in the same library means. */
  isSelectedBy(library: Pkcs11Library, selector: TokenSelector): boolean {
    const connection = this.#connected();
    if (library !== this.#library) return false;
    return connection !== undefined && isSelected(connection.found, selector);
  }

  /** Whether handles of this generation can be used now. */
  holds(generation: number): boolean {
    return generation === this.#generation && this.#connected() !== undefined;
  }

  /** Object handles found in an older generation are void. */
  get generation(): number {
    return this.#generation;
  }

  /** Tells of every change from now on, before the call that found it out is answered. */
  onChange(listener: TokenListener): void {
    this.#onChange = listener;
  }

  /**
   * Runs work in a session of its own. It runs again when it failed because session, object handle or token
   * had been lost, so up to its first success it must not have lasting effects.
   */
  async use<T>(doing: () => string, work: Work<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      let connection: Connection | undefined;
      try {
        connection = this.#connected() ?? (await this.#connect());
        const session = connection.pool.take() ?? (await connection.pool.wait(signal));
        return await this.#within(connection, session, work);
      } catch (error) {
        const again = attempt < maxAttempts && (await this.#recover(error, connection));
        if (!again) throw toServiceError(error, `${doing()}: ${this.name}`);
      }
    }
  }

  /**
   * Throws when what was just searched for may exist although it was not found: a token that is gone shows no
   * objects, and neither does a session that is no longer logged in.
   */
  confirmAbsence(session: Session): void {
    const connection = this.#connected();
    if (connection === undefined) throw new LostError('session');
    this.#confirmPresence(connection);
    const required = (connection.found.info.flags & CKF.LOGIN_REQUIRED) !== 0;
    if (required && !isUser(this.#library, session.handle)) throw new LostError('session');
  }

  /** Logs a session in for the one operation that it has begun, by the PIN of the token and under the same guard. */
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
      // while it waited for the session, the library began to start again.
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

  /** Whether it makes sense to try again after this failure. */
  async #recover(error: unknown, connection: Connection | undefined): Promise<boolean> {
    const loss = lossOf(error);
    if (loss === undefined) return false;
    if (loss === 'object') {
      this.#generation++;
      return true;
    }
    if (loss === 'token' && connection !== undefined && this.#isPresent(connection)) return false;
    this.#disconnect(connection);
    if (loss === 'token') await this.#concluding(() => this.#library.restart(restartPauseMs));
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

  /** What the token says now. Lost when another one is in its slot. */
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
    return this.#concluding(async () => {
      const pin = await readPin(this.#pin);
      await this.#library.ready();
      const found = await this.#find();
      this.#connection = await this.#open(found, pin);
      this.#generation++;
      this.#conclude(undefined);
      return this.#connection;
    });
  }

  /** Does what the token cannot be used without: when it fails, that is what is wrong with the token. */
  async #concluding<T>(doing: () => Promise<T>): Promise<T> {
    try {
      return await doing();
    } catch (error) {
      const failure = toServiceError(error, this.name);
      this.#conclude(failure);
      throw failure;
    }
  }

  #conclude(failure: unknown): void {
    const before = this.#failure?.error;
    this.#failure = failure === undefined ? undefined : { error: failure, at: performance.now() };
    if (describeError(before) !== describeError(failure)) this.#onChange(failure);
  }

  async #find(): Promise<FoundToken> {
    try {
      return findToken(this.#library.api, this.#selector);
    } catch (error) {
      // some libraries look for tokens only when they start.
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

/** 0 is no limit, and so is the largest number, which says that the token does not tell. */
function sessionLimit(most: number): number {
  return most > 0 && most < maxSessions ? most : maxSessions;
}
